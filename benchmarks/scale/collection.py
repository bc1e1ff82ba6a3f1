"""A large collection: how it is laid out, filled through the program's own store, and indexed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from qdrant_client import QdrantClient, models

from benchmarks.harness import CannotMeasureError
from benchmarks.points import point
from benchmarks.processes import Server
from benchmarks.scale.memory import peak_of_group
from benchmarks.scale.synthetic_vectors import SyntheticCollection
from benchmarks.services import edge_server
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import FloatVector, Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings

FLOAT32, INT8 = "float32", "int8"
# What a collection's settings are, by how it keeps its vectors.
STORAGES: Mapping[str, Mapping[str, object]] = {
    FLOAT32: {},
    INT8: {"qdrant_quantized": True, "qdrant_on_disk": True},
}
SOURCES = 10
_GALLERY, _MODEL, _DIGEST = "bench", "drawn", "ab" * 32
# Nobody gives up: how long an answer takes is what is measured.
_PATIENCE_SECONDS = 3600
# In kilobytes of vectors: every size here has an index, the smallest too.
_INDEX_FROM_KB = 1_000
_LOOK_SECONDS = 0.5
# Between two queries while an index is built, as a multiple of what the first of them took.
_PAUSE = 2
_SECONDS_PER_POINT = 0.03
_LEAST_SECONDS = 300.0


@dataclass(frozen=True)
class BuildResult:
    """What filling and indexing a collection took. `longest_wait` is a query's meanwhile."""

    name: str
    upload_seconds: float
    index_seconds: float
    peak_bytes: int
    longest_wait: float


@contextlib.contextmanager
def server_on(
    folder: Path, *, hurried: bool = False
) -> Iterator[tuple[Server, VectorStoreSettings]]:
    """Run the embedded server on a folder until the block ends. `hurried`: it indexes at once."""
    settings = {"LANDMARKS_EDGE_OPTIMIZE_AFTER_SECONDS": "0.2"} if hurried else {}
    with edge_server(folder, settings) as server:
        yield (
            server,
            VectorStoreSettings(qdrant_port=server.port, qdrant_timeout_seconds=_PATIENCE_SECONDS),
        )


def source_of(landmark: int) -> int:
    """Return which source a landmark's photos are from."""
    return landmark % SOURCES


def build(
    server: Server, settings: VectorStoreSettings, storage: str, drawing: SyntheticCollection
) -> BuildResult:
    """Fill a collection and have its index built, as re-embedding a gallery does.

    Raises CannotMeasureError where no index is built.
    """
    laid_out = settings.model_copy(update=dict(STORAGES[storage]))
    with (
        contextlib.closing(connect(settings)) as client,
        peak_of_group(server.process.pid) as peak,
    ):
        collections, store = Collections(client, laid_out), PointStore(client, settings)
        name = collections.create_beside(
            _GALLERY, _MODEL, _DIGEST, drawing.dimension, unindexed=True
        ).name
        begun = time.monotonic()
        for first, rows in drawing.batches():
            store.upsert(name, _points(drawing, first, rows))
        upload_seconds = time.monotonic() - begun
        with _Watching(settings, name, drawing.queries(1)[0]) as watching:
            begun = time.monotonic()
            client.update_collection(
                name,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=_INDEX_FROM_KB),
            )
            _wait_for_index(client, name, drawing.count)
            index_seconds = time.monotonic() - begun
    return BuildResult(name, upload_seconds, index_seconds, peak.bytes, watching.longest)


def _wait_for_index(client: QdrantClient, name: str, count: int) -> None:
    patience = max(_LEAST_SECONDS, count * _SECONDS_PER_POINT)
    deadline = time.monotonic() + patience
    while True:
        info = client.get_collection(name)
        settled = info.status == models.CollectionStatus.GREEN
        if settled and (info.indexed_vectors_count or 0) >= count:
            return
        if time.monotonic() > deadline:
            raise CannotMeasureError(f"no index of {count} vectors was built in {patience:.0f} s")
        time.sleep(_LOOK_SECONDS)


class _Watching:
    """Asks a collection now and then while the block runs, and keeps the longest wait.

    A query looks at everything as long as there is no index, on all cores: asked without a pause,
    they would be nearly all that the machine does. Leaving the block raises what asking raised: a
    refusal is no short wait.
    """

    def __init__(self, settings: VectorStoreSettings, name: str, vector: FloatVector) -> None:
        self.longest = 0.0
        self._settings, self._name, self._query = settings, name, Query(vector)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> _Watching:
        self._asking = self._pool.submit(self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._asking.result()
        self._pool.shutdown()

    def _watch(self) -> None:
        with contextlib.closing(connect(self._settings)) as client:
            store = PointStore(client, self._settings)
            took = 0.0
            while not self._stop.wait(max(_LOOK_SECONDS, _PAUSE * took)):
                begun = time.monotonic()
                store.query(self._name, [self._query])
                took = time.monotonic() - begun
                self.longest = max(self.longest, took)


def _points(drawing: SyntheticCollection, first: int, rows: FloatVector) -> list[Point]:
    landmarks = map(drawing.landmark_of, range(first, first + len(rows)))
    return [
        point(number, row, landmark, str(source_of(landmark)))
        for number, (row, landmark) in enumerate(zip(rows, landmarks, strict=True), first)
    ]
