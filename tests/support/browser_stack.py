"""The whole stack with a page, for tests that look at it with a browser: every part is real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from landmarks.probe import is_serving
from landmarks_tools.sample_gallery.gallery import ensure_sample_gallery, read_manifest
from tests.support.indexing_rig import MODEL, Rig
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.valkey import running_valkey

GALLERY = "sample"
SCRATCH = "scratch"
LANDMARKS = (
    "Atomium",
    "Big_Ben",
    "Eiffel_Tower",
    "Stonehenge",
    "Sydney_Opera_House",
    "Taj_Mahal",
)
VIEWS = 9
SIZE = 112


@dataclass
class BrowserStack:
    """A stack of two models: `scratch`, and one that looks at colours and can be taken down."""

    rig: Rig
    photos: Path
    page: str
    target: str
    scratch_port: int
    _colours: ExitStack = field(default_factory=ExitStack)

    @property
    def client(self) -> Landmarks:
        return Landmarks(self.target)

    def query(self, landmark: str) -> Path:
        """A view of a landmark that is not in the gallery."""
        rows = read_manifest(self.photos)
        return self.photos / next(
            row.path for row in rows if row.landmark == landmark and row.split == "query"
        )

    def start_colours(self) -> None:
        """Run the second model's encoder, and wait until searches use it."""
        self._colours.enter_context(self.rig.encoder())
        eventually(self._all_ready, "every model is ready")

    def stop_colours(self) -> None:
        """End the second model's encoder."""
        self._colours.close()

    def _all_ready(self) -> bool:
        with self.client as client:
            try:
                return all(model.ready for model in client.models())
            except LandmarksError:
                return False


@contextmanager
def browser_stack(folder: Path) -> Iterator[BrowserStack]:
    """Run the stack, with a gallery drawn and indexed."""
    photos = ensure_sample_gallery(folder / "photos", VIEWS, SIZE, landmarks=LANDMARKS)
    (folder / "valkey").mkdir()
    with running_valkey(folder / "valkey") as valkey:
        rig = Rig(folder, valkey, photos)
        scratch, search, page = free_port(), free_port(), free_port()
        encoders = {MODEL: rig.encoders, SCRATCH: [f"127.0.0.1:{scratch}"]}
        shared = {
            "encoders": json.dumps(encoders),
            "source_roots": json.dumps([str(folder)]),
            "sweep_seconds": "0.5",
        }
        service = {**rig.settings(), **shared, "search_port": str(search), "page_port": str(page)}
        stack = BrowserStack(
            rig, photos, f"http://127.0.0.1:{page}", f"127.0.0.1:{search}", scratch
        )
        models = {"models": SCRATCH, "encoder_port": str(scratch), "threads": "1"}
        with (
            rig.qdrant(),
            running_module("encoder_service", **models),
            rig.worker(**shared),
            running_module("search_service", **service),
        ):
            try:
                eventually(lambda: is_serving(stack.target), "the search service serves")
                stack.start_colours()
                with stack.client as client:
                    manifest = str(photos / "manifest.csv")
                    job = client.index(manifest, gallery=GALLERY, splits=["gallery"])
                    *_, last = client.watch(job.id)
                    assert all(one.stored == one.listed > 40 for one in last.progress), last
                yield stack
            finally:
                stack.stop_colours()
