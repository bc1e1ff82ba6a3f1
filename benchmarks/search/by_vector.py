"""Figure 1: what the service adds to a query of Qdrant, one at a time and sixteen at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.harness import (
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    typical,
)
from benchmarks.points import DIMENSION, batches, unit_rows
from benchmarks.search.query_load import Ask, answers_per_second, median_seconds
from benchmarks.search.stack import SearchStack, qdrant_running, search_service
from landmarks.client import Landmarks
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.settings import VectorStoreSettings

_GALLERY, _MODEL = "bench", "vectors"
_POINTS = 20_000
_CLIENTS = 16
_LIMIT = 10
_QUERIES = 1_000
_BUILT_WITHIN_SECONDS = 600.0


def case() -> Case:
    """Return the figures `search-1`."""
    return Case({"search-1-added-ms": "<= 2", "search-1-throughput": ">= 0.6"}, _measure)


def _measure(bench: Bench) -> Mapping[str, Measurement]:
    count = 2_000 if bench.effort.quick else _POINTS
    queries = unit_rows(np.random.default_rng(9), _QUERIES, DIMENSION).tolist()
    effort = bench.effort
    with contextlib.ExitStack() as parts:
        qdrant = parts.enter_context(qdrant_running())
        name = _fill(qdrant, count)
        stack = parts.enter_context(search_service(qdrant, {}))
        bare = [parts.enter_context(_bare(qdrant, name, queries)) for _ in range(_CLIENTS)]
        ours = [parts.enter_context(_through(stack, queries)) for _ in range(_CLIENTS)]
        one = in_turn(
            effort.repetitions,
            lambda: median_seconds(ours[0], effort.seconds / 2, effort.warm_seconds / 2),
            lambda: median_seconds(bare[0], effort.seconds / 2, effort.warm_seconds / 2),
        )
        many = in_turn(
            effort.repetitions,
            lambda: answers_per_second(ours, effort.seconds, effort.warm_seconds),
            lambda: answers_per_second(bare, effort.seconds, effort.warm_seconds),
        )
    milliseconds = [[1000 * value for value in values] for values in one]
    what = f"{count} × {DIMENSION}, {_LIMIT} hits with payload, the embedded server"
    return {
        "search-1-added-ms": Measurement(
            [ours - bare for ours, bare in zip(*milliseconds, strict=True)],
            f"{what}; one caller, medians: `Search` by vector {typical(milliseconds[0], 'ms')},"
            f" qdrant-client {typical(milliseconds[1], 'ms')}",
        ),
        "search-1-throughput": Measurement(
            ratios(*many),
            f"{what}; {_CLIENTS} callers in one process, all parts on the same cores: `Search`"
            f" {typical(many[0], 'answers/s')}, qdrant-client {typical(many[1], 'answers/s')}",
        ),
    }


def _fill(qdrant: VectorStoreSettings, count: int) -> str:
    """Make a collection whose index is built; return its name."""
    with contextlib.closing(connect(qdrant)) as client:
        collections, store = Collections(client, qdrant), PointStore(client, qdrant)
        name = collections.to_write(_GALLERY, _MODEL, "ab" * 32, DIMENSION).name
        for batch in batches(count):
            store.upsert(name, batch)
        deadline = time.monotonic() + _BUILT_WITHIN_SECONDS
        while collections.status(name) != "green":
            if time.monotonic() > deadline:
                raise CannotMeasureError(f"no index was built in {_BUILT_WITHIN_SECONDS:g} s")
            time.sleep(0.2)
    return name


@contextlib.contextmanager
def _bare(qdrant: VectorStoreSettings, name: str, queries: list[list[float]]) -> Iterator[Ask]:
    with contextlib.closing(connect(qdrant)) as client:
        yield lambda number: client.query_points(
            name, queries[number % len(queries)], limit=_LIMIT, with_payload=True
        )


@contextlib.contextmanager
def _through(stack: SearchStack, queries: list[list[float]]) -> Iterator[Ask]:
    with Landmarks(stack.target) as client:
        yield lambda number: client.search(
            gallery=_GALLERY, vector=(_MODEL, queries[number % len(queries)]), limit=_LIMIT
        )
