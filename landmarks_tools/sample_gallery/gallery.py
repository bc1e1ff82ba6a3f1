"""The sample gallery on disk: pictures drawn once, with a manifest that says what they show."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from landmarks.files import replace_file
from landmarks.settings import default_cache_dir
from landmarks_tools.sample_gallery.landmarks import LANDMARKS
from landmarks_tools.sample_gallery.render import render
from landmarks_tools.sample_gallery.views import plan_view

# Raise this whenever the pictures change, so that cached galleries are drawn again.
REVISION = 2
MANIFEST = "manifest.csv"
_KEY_FILE = ".parameters"
_QUALITY = 90
_WORTH_PROCESSES = 8  # starting processes takes about as long as drawing this many pictures


@dataclass(frozen=True)
class SamplePhoto:
    """A row of the manifest. Angles in degrees, distance in metres, shares from 0 to 1."""

    path: str  # posix, relative to the manifest
    landmark: str
    split: str  # "gallery" or "query"
    view: int
    prominence: float  # share of the frame that shows the landmark
    occluded: float  # share of the landmark that something stands in front of
    azimuth: float  # 0 is the front
    elevation: float
    distance: float
    time_of_day: str
    season: str


@dataclass(frozen=True)
class _Task:
    directory: Path
    landmark: str
    view: int
    views: int
    size: int
    seed: int
    key: str

    @property
    def path(self) -> str:
        return f"images/{self.landmark}/{self.view:02d}.jpg"


def ensure_sample_gallery(
    directory: Path | None = None,
    views: int = 12,
    size: int = 224,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    landmarks: tuple[str, ...] | None = None,
    workers: int | None = None,
) -> Path:
    """Draw the missing pictures of the sample gallery and return its folder.

    `views` of each landmark at `size` × `size` pixels; the last quarter of each landmark's views
    is the split `query`. `progress` receives how many pictures are done, and the total. Pictures
    of these parameters that are already in the folder are kept and others replaced, so that an
    interrupted gallery is completed. `manifest.csv` is written last: if it exists, so do all
    pictures. By default `directory` lies in the user's cache. `landmarks` narrows the gallery
    to these names; `workers` is the number of processes, by default one for each core.

    Raises ValueError for a landmark that is not known and for fewer than one view or pixel.
    """
    if views < 1 or size < 1:
        raise ValueError(f"a gallery needs at least one view of one pixel, not {views} of {size}")
    names = tuple(LANDMARKS) if landmarks is None else landmarks
    unknown = sorted(set(names) - set(LANDMARKS))
    if unknown:
        raise ValueError(f"not in the sample gallery: {', '.join(unknown)}")
    # A picture depends on its size and seed alone; a gallery on how many and which there are too.
    picture_key = f"revision {REVISION}, size {size}, seed {seed}"
    key = f"{picture_key}, views {views}, landmarks {' '.join(names)}"
    if directory is None:
        folder = hashlib.sha256(key.encode()).hexdigest()[:16]
        directory = default_cache_dir() / "sample" / folder
    tasks = [
        _Task(directory, name, view, views, size, seed, picture_key)
        for name in names
        for view in range(views)
    ]
    if _is_complete(directory, key):
        if progress:
            progress(len(tasks), len(tasks))
        return directory
    (directory / MANIFEST).unlink(missing_ok=True)
    for name in names:
        (directory / "images" / name).mkdir(parents=True, exist_ok=True)
    photos: dict[str, SamplePhoto] = {}
    for done, photo in enumerate(_photos(tasks, workers or _cores()), start=1):
        photos[photo.path] = photo
        if progress:
            progress(done, len(tasks))
    replace_file(directory / _KEY_FILE, lambda new: new.write_text(key))
    manifest = _manifest([photos[task.path] for task in tasks])
    replace_file(directory / MANIFEST, lambda new: new.write_bytes(manifest))
    return directory


def read_manifest(directory: Path) -> list[SamplePhoto]:
    """Return the rows of a gallery's manifest."""
    with (directory / MANIFEST).open(newline="", encoding="utf-8") as file:
        return [
            SamplePhoto(
                path=row["path"],
                landmark=row["landmark"],
                split=row["split"],
                view=int(row["view"]),
                prominence=float(row["prominence"]),
                occluded=float(row["occluded"]),
                azimuth=float(row["azimuth"]),
                elevation=float(row["elevation"]),
                distance=float(row["distance"]),
                time_of_day=row["time_of_day"],
                season=row["season"],
            )
            for row in csv.DictReader(file)
        ]


def _is_complete(directory: Path, key: str) -> bool:
    marker = directory / _KEY_FILE
    return (directory / MANIFEST).exists() and marker.exists() and marker.read_text() == key


def _photos(tasks: list[_Task], workers: int) -> Iterator[SamplePhoto]:
    """Yield every task's photo, those that are there first, in the order they are done."""
    missing = []
    for task in tasks:
        there = _photo_on_disk(task)
        if there is None:
            missing.append(task)
        else:
            yield there
    if workers == 1 or len(missing) < _WORTH_PROCESSES:
        yield from map(_draw, missing)
        return
    # "spawn": the caller may own threads and gRPC objects, which do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        drawing = [pool.submit(_draw, task) for task in missing]
        try:
            for future in as_completed(drawing):
                yield future.result()
        finally:
            for future in drawing:
                future.cancel()


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _draw(task: _Task) -> SamplePhoto:
    """Draw one picture; its JPEG comment carries what cannot be known without drawing it."""
    view = plan_view(LANDMARKS[task.landmark], task.view, task.seed)
    rendering = render(LANDMARKS[task.landmark], view, task.size)
    truth = {
        "key": task.key,
        "prominence": round(rendering.prominence, 4),
        "occluded": round(rendering.occluded, 4),
    }
    jpeg = io.BytesIO()
    Image.fromarray(rendering.image).save(
        jpeg, "JPEG", quality=_QUALITY, comment=json.dumps(truth).encode()
    )
    replace_file(task.directory / task.path, lambda new: new.write_bytes(jpeg.getvalue()))
    return _photo(task, rendering.prominence, rendering.occluded)


def _photo_on_disk(task: _Task) -> SamplePhoto | None:
    try:
        with Image.open(task.directory / task.path) as image:
            truth = json.loads(image.info["comment"])
        if truth["key"] != task.key:
            return None
        return _photo(task, truth["prominence"], truth["occluded"])
    except (OSError, KeyError, ValueError):  # absent, or not one of ours
        return None


def _photo(task: _Task, prominence: float, occluded: float) -> SamplePhoto:
    landmark = LANDMARKS[task.landmark]
    view = plan_view(landmark, task.view, task.seed)
    inside = landmark.setting.cave  # where there is neither daylight nor season
    return SamplePhoto(
        path=task.path,
        landmark=task.landmark,
        split="query" if task.view >= task.views - task.views // 4 else "gallery",
        view=task.view,
        prominence=round(prominence, 4),
        occluded=round(occluded, 4),
        azimuth=round(view.azimuth, 1),
        elevation=round(view.elevation, 1),
        distance=round(view.distance, 1),
        time_of_day="indoors" if inside else view.time_of_day,
        season="indoors" if inside else view.season,
    )


def _manifest(photos: list[SamplePhoto]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, [field.name for field in fields(SamplePhoto)], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(asdict(photo) for photo in photos)
    return text.getvalue().encode()
