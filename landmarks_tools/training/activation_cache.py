"""Caches the frozen layers' activations on disk during a training run.

Transfer learning spends most of its time in layers that never change. With their output cached, for
the photos and for some random views of each, an epoch on two cores takes minutes instead of hours.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from encoder_service.models.preprocessing import Resized
from landmarks.errors import ConfigurationError
from landmarks.files import replace_file
from landmarks.retrieval.labelled_photos import LabelledPhoto
from landmarks_tools.training.augment import augmented
from landmarks_tools.training.loop import Device
from landmarks_tools.training.training_photos import TrainingPhotos, normalised, read_pixels

Report = Callable[[int, int], None]  # photos done, total

_BATCH = 32
_KEPT_EVERY = 16  # batches
_SPARE_BYTES = 500_000_000  # for checkpoints and other writers
# Larger than the input, so that a crop of a photo still has detail to show.
_VIEW_MARGIN = 8 / 7


@dataclass(frozen=True)
class Trunk:
    """The frozen part of a network, with its preprocessing."""

    network: nn.Module
    preprocessing: Resized
    device: Device

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the activations, float16, of pixels (N, 3, size, size) in 0–255."""
        photos = normalised(pixels.to(self.device.name), self.preprocessing)
        with torch.inference_mode(), self.device.autocast():
            found: torch.Tensor = self.network(photos).to(torch.float16).cpu()
        return found


class Activations:
    """Training examples: activations of photos and of random views of them."""

    def __init__(
        self,
        trunk: Trunk,
        photos: TrainingPhotos,
        views: int,
        window: float,
        seed: int,
        folder: Path,
        view_size: int = 0,
    ) -> None:
        self._trunk = trunk
        self._photos = photos
        self._seed = seed
        self._folder = folder
        self._views = views
        self._window = window
        self._view_size = view_size or trunk.preprocessing.input_size
        self.labels = photos.labels()
        self._random: list[np.ndarray] = []
        self._plain: dict[str, np.ndarray] = {}

    def prepare(self, report: Report) -> None:
        """Compute the missing activations, continuing an interrupted run."""
        self._folder.mkdir(parents=True, exist_ok=True)
        train, validation = self._photos.train, self._photos.validation
        total, done = len(train) * (1 + self._views) + len(validation), 0
        size = self._trunk.preprocessing.input_size
        for name, photos in (("train", train), ("validation", validation)):
            self._plain[name] = self._kept(name, photos, size, None, done, total, report)
            done += len(photos)
        larger = round(self._view_size * _VIEW_MARGIN)
        for view in range(self._views):
            kept = self._kept(f"view-{view}", train, larger, view, done, total, report)
            self._random.append(kept)
            done += len(train)

    def batch(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a window of one view of each photo, (N, C, H, W) float32, all of one size."""
        sources = [self._plain["train"], *self._random]
        high, wide = (
            _length(min(source.shape[axis] for source in sources), self._window, generator)
            for axis in (2, 3)
        )
        which = torch.randint(len(sources), (len(chosen),), generator=generator)
        pairs = zip(which.tolist(), chosen.tolist(), strict=True)
        rows = [_window(sources[view][photo], high, wide, generator) for view, photo in pairs]
        return torch.from_numpy(np.stack(rows)).float()

    def gallery(self) -> Iterator[torch.Tensor]:
        """Yield the activations of the training photos."""
        return _batches(self._plain["train"])

    def queries(self) -> Iterator[torch.Tensor]:
        """Yield the activations of the validation photos."""
        return _batches(self._plain["validation"])

    def _kept(
        self,
        name: str,
        photos: Sequence[LabelledPhoto],
        size: int,
        view: int | None,
        before: int,
        total: int,
        report: Report,
    ) -> np.ndarray:
        """Return the activations (N, C, H, W) float16 of `photos`, mapped from a file."""
        path = self._folder / f"{name}.npy"
        counter = self._folder / f"{name}.done"
        done = _count(counter) if path.exists() else 0
        rows: np.ndarray | None = np.load(path, mmap_mode="r+") if done else None
        while done < len(photos):
            some = photos[done : done + _BATCH]
            pixels = read_pixels(some, size)
            if view is not None:
                # Seeded by the photo's place, so that an interrupted run draws the same views.
                generator = torch.Generator().manual_seed(self._seed_of(view, done))
                pixels = augmented(pixels, self._view_size, generator)
            found = self._trunk(pixels).numpy()
            if rows is None:
                self._check_space((total - before) * found[0].nbytes)
                shape = (len(photos), *found.shape[1:])
                rows = np.lib.format.open_memmap(path, "w+", np.float16, shape)
            rows[done : done + len(some)] = found
            done += len(some)
            if done // _BATCH % _KEPT_EVERY == 0 or done == len(photos):
                rows.flush()  # type: ignore[attr-defined]
                replace_file(counter, partial(Path.write_text, data=str(done)))
            report(before + done, total)
        finished: np.ndarray = np.load(path, mmap_mode="r")
        return finished

    def _check_space(self, needed: int) -> None:
        # A mapped file cannot report a full disk: the process would just be killed.
        free = shutil.disk_usage(self._folder).free
        if free < needed + _SPARE_BYTES:
            raise ConfigurationError(
                f"{self._folder} needs {needed / 1e9:.1f} GB for activations, and its disk has"
                f" {free / 1e9:.1f} GB free: name another folder with --out, or take fewer --views"
            )

    def _seed_of(self, view: int, place: int) -> int:
        return (self._seed * 1_000 + view) * 10_000_000 + place


def _count(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # missing or damaged: compute the photos again
        return 0


def _length(side: int, least: float, generator: torch.Generator) -> int:
    """Return a random part of a side, at least `least` of it."""
    return int(torch.randint(round(side * least), side + 1, (), generator=generator))


def _window(row: np.ndarray, high: int, wide: int, generator: torch.Generator) -> np.ndarray:
    """Return a random window (C, high, wide) of activations (C, H, W)."""
    top, left = (
        int(torch.randint(side - length + 1, (), generator=generator))
        for side, length in zip(row.shape[1:], (high, wide), strict=True)
    )
    return row[:, top : top + high, left : left + wide]


def _batches(rows: np.ndarray) -> Iterator[torch.Tensor]:
    for first in range(0, len(rows), 64):
        yield torch.from_numpy(np.array(rows[first : first + 64])).float()
