"""Figures 2 and 4: storing points, and searching while an index is built."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from qdrant_client import QdrantClient, models

from benchmarks.harness import (
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    typical,
)
from benchmarks.points import DIMENSION, batches, points, unit_rows
from benchmarks.services import edge_server
from landmarks.rpc.channel import open_channel
from landmarks.vector_store.client import address_of, connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings

_BATCH = 64
_STORED = 4_000
_LARGE = 50_000
_BUILT_WITHIN_SECONDS = 600.0
_PAUSE_SECONDS = 0.01


def upserts_case() -> Case:
    """Return the figure `index-2`: our own writes ÷ a bare loop of qdrant-client's."""
    return Case({"index-2": ">= 0.8"}, _measure_upserts)


def optimising_case() -> Case:
    """Return the figures `index-4`: the longest waits while a large index is built."""
    asked = ("same-collection", "other-collection", "health")
    goals = {f"index-4-{what}": "<= 2" for what in asked}
    return Case(goals, _measure_optimising)


@contextlib.contextmanager
def _engine() -> Iterator[tuple[QdrantClient, VectorStoreSettings]]:
    with (
        tempfile.TemporaryDirectory(prefix="landmarks-bench-") as folder,
        edge_server(Path(folder)) as server,
    ):
        settings = VectorStoreSettings(qdrant_port=server.port)
        with contextlib.closing(connect(settings)) as client:
            yield client, settings


def _measure_upserts(bench: Bench) -> Mapping[str, Measurement]:
    count = _BATCH * 4 if bench.effort.quick else _STORED
    made = points(count)
    structs = [
        models.PointStruct(id=str(p.id), vector=p.vector.tolist(), payload=dict(p.payload))
        for p in made
    ]
    with _engine() as (client, settings):
        store, collections = PointStore(client, settings), Collections(client, settings)
        names = (
            collections.to_write(f"g{number}", "bench", "ab" * 32, DIMENSION).name
            for number in range(1000)
        )

        def ours() -> float:
            name, begun = next(names), time.monotonic()
            for start in range(0, count, _BATCH):
                store.upsert(name, made[start : start + _BATCH])
            return count / (time.monotonic() - begun)

        def bare() -> float:
            name, begun = next(names), time.monotonic()
            for start in range(0, count, _BATCH):
                client.upsert(name, structs[start : start + _BATCH], wait=True)
            return count / (time.monotonic() - begun)

        our_rates, bare_rates = in_turn(bench.effort.repetitions, ours, bare)
    words = (
        f"{count} points of {DIMENSION} dimensions with payload, {_BATCH} at a time, one caller:"
        f" {typical(our_rates, 'vectors/s')}; bare qdrant-client, its structs made beforehand:"
        f" {typical(bare_rates, 'vectors/s')}"
    )
    return {"index-2": Measurement(ratios(our_rates, bare_rates), words)}


def _measure_optimising(bench: Bench) -> Mapping[str, Measurement]:
    # Fewer would be due no index, and nothing would be measured.
    count = 12_000 if bench.effort.quick else _LARGE
    with _engine() as (client, settings):
        store, collections = PointStore(client, settings), Collections(client, settings)
        other = collections.to_write("other", "bench", "ab" * 32, DIMENSION).name
        store.upsert(other, points(1_000))
        name = collections.to_write("large", "bench", "ab" * 32, DIMENSION).name
        for batch in batches(count):
            store.upsert(name, batch)
        with (
            _Asking(_querying(settings, name)) as same,
            _Asking(_querying(settings, other)) as beside,
            _Asking(_health_of(settings)) as health,
        ):
            begun = time.monotonic()
            _wait_for_index(client, name, count)
            seconds = time.monotonic() - begun
    words = (
        f"the longest wait, in seconds, while the embedded server builds the index of {count} ×"
        f" {DIMENSION} (in {seconds:.0f} s), asked one after another"
    )
    asked = {
        "same-collection": (same, "queries of that collection"),
        "other-collection": (beside, "queries of another"),
        "health": (health, "health checks"),
    }
    return {
        f"index-4-{what}": Measurement([max(asking.waits)], f"{words}; {len(asking.waits)} {named}")
        for what, (asking, named) in asked.items()
    }


def _wait_for_index(client: QdrantClient, name: str, count: int) -> None:
    deadline = time.monotonic() + _BUILT_WITHIN_SECONDS
    while (client.get_collection(name).indexed_vectors_count or 0) < count:
        if time.monotonic() > deadline:
            raise CannotMeasureError(f"no index was built in {_BUILT_WITHIN_SECONDS:g} s")
        time.sleep(0.2)


class _Asking:
    """Asks again and again, from a thread, while the block runs; raises what asking raised."""

    def __init__(self, ask: AbstractContextManager[Callable[[], object]]) -> None:
        self.waits: list[float] = []
        self._open = ask
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> _Asking:
        self._asking = self._pool.submit(self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._asking.result()
        self._pool.shutdown()

    def _ask(self) -> None:
        with self._open as ask:
            while not self._stop.is_set():
                begun = time.monotonic()
                ask()
                self.waits.append(time.monotonic() - begun)
                time.sleep(_PAUSE_SECONDS)


@contextlib.contextmanager
def _querying(settings: VectorStoreSettings, collection: str) -> Iterator[Callable[[], object]]:
    vectors = itertools.cycle(unit_rows(np.random.default_rng(9), 1_000, DIMENSION))
    with contextlib.closing(connect(settings)) as client:
        store = PointStore(client, settings)
        yield lambda: store.query(collection, [Query(next(vectors), limit=10)])


@contextlib.contextmanager
def _health_of(settings: VectorStoreSettings) -> Iterator[Callable[[], object]]:
    with open_channel(address_of(settings)) as channel:
        stub = HealthStub(channel)
        yield lambda: stub.Check(HealthCheckRequest(), timeout=60)  # type: ignore[attr-defined]
