"""Figures 1 to 3: the embedded server beside qdrant-client's local mode, by the same code."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
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
from benchmarks.points import point
from benchmarks.scale.synthetic_vectors import EmbeddingStatistics, SyntheticCollection
from benchmarks.search.query_load import Ask
from benchmarks.search.stack import qdrant_running
from benchmarks.store import beside_server
from landmarks.vector_store.client import connect
from landmarks.vector_store.points import FloatVector

_POINTS = 20_000
_BATCH = 64
_COLLECTION = "bench"
_FIELD = "landmark"
_LIMIT = 10
_QUERIES = 200
_LEAST_RECALL = 0.99
# How many candidates the index keeps: the fewest that find enough. Local mode looks at all anyway.
_CANDIDATES = (100, 200, 400, 800)
_BUILT_WITHIN_SECONDS = 600.0


def store_cases() -> Iterator[Case]:
    """Yield the figures `store-1` (upserts), `store-2` (queries), `store-3` (filtered ones).

    They compare with the local mode; `store-4` with a Qdrant server.
    """
    yield Case({"store-1": ">= 6", "store-2": ">= 10", "store-3": ">= 50"}, _measure)
    yield beside_server.case()


def _measure(bench: Bench) -> Mapping[str, Measurement]:
    count = 1_000 if bench.effort.quick else _POINTS
    # Random directions have no neighbourhoods, so that no index finds much among them.
    drawing = SyntheticCollection(EmbeddingStatistics.load(), count)
    vectors = np.concatenate([rows for _, rows in drawing.batches()])
    structs = [
        models.PointStruct(id=str(one.id), vector=one.vector.tolist(), payload=dict(one.payload))
        for one in (point(n, row, drawing.landmark_of(n)) for n, row in enumerate(vectors))
    ]
    asked = QuerySet(drawing.queries(_QUERIES), drawing.landmarks)
    seconds = bench.effort.seconds / 2
    with _local() as local, _embedded() as embedded:
        # Each takes half a minute: once is what there is time for.
        local_upserts, embedded_upserts = (_stored(client, structs) for client in (local, embedded))
        for candidates in _CANDIDATES:
            asked = dataclasses.replace(asked, candidates=candidates)
            recalls = [
                min(
                    _recall(client, vectors, structs, asked, filtered=filtered)
                    for client in (local, embedded)
                )
                for filtered in (False, True)
            ]
            if min(recalls) >= _LEAST_RECALL:
                break
        else:
            raise CannotMeasureError(f"recall@{_LIMIT} is {min(recalls):.3f} only")
        rates = {
            filtered: in_turn(
                bench.effort.repetitions,
                lambda filtered=filtered: _rate(
                    _asking(embedded, asked, filtered=filtered), seconds
                ),  # type: ignore[misc]
                lambda filtered=filtered: _rate(_asking(local, asked, filtered=filtered), seconds),  # type: ignore[misc]
            )
            for filtered in (False, True)
        }
    what = f"{count} × {drawing.dimension}, the same client code, one caller; local mode is on disk"
    said = {
        filtered: f"{what}; {_LIMIT} hits; recall@{_LIMIT} {recall:.3f} with"
        f" {asked.candidates} candidates; embedded server"
        f" {typical(rates[filtered][0], '/s')}, local mode {typical(rates[filtered][1], '/s')}"
        for filtered, recall in zip((False, True), recalls, strict=True)
    }
    return {
        "store-1": Measurement(
            [embedded_upserts / local_upserts],
            f"{what}; {_BATCH} points at a time, with payload: embedded server"
            f" {embedded_upserts:.0f} upserts/s, local mode {local_upserts:.0f}; once",
        ),
        "store-2": Measurement(ratios(*rates[False]), f"{said[False]}"),
        "store-3": Measurement(
            ratios(*rates[True]), f"{said[True]}; one of {drawing.landmarks} landmarks, indexed"
        ),
    }


@dataclasses.dataclass(frozen=True, eq=False)
class QuerySet:
    """What is asked: unit rows, the landmarks that filters are of in turn, and how thoroughly."""

    queries: FloatVector
    landmarks: int
    candidates: int = _CANDIDATES[0]

    def landmark(self, number: int) -> str:
        """Return the landmark that a filtered query is for."""
        return str(number % self.landmarks)


@contextlib.contextmanager
def _local() -> Iterator[QdrantClient]:
    with (
        tempfile.TemporaryDirectory(prefix="landmarks-bench-") as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # it says that it is made for less, and has no indexes
        with contextlib.closing(QdrantClient(path=str(Path(folder)))) as client:
            yield client


@contextlib.contextmanager
def _embedded() -> Iterator[QdrantClient]:
    with qdrant_running() as settings, contextlib.closing(connect(settings)) as client:
        yield client


def _stored(client: QdrantClient, structs: Sequence[models.PointStruct]) -> float:
    """Store points, and wait for their index; return how many a second were stored."""
    client.create_collection(
        _COLLECTION,
        vectors_config=models.VectorParams(
            size=len(structs[0].vector),  # type: ignore[arg-type]
            distance=models.Distance.COSINE,
        ),
    )
    client.create_payload_index(
        _COLLECTION, _FIELD, field_schema=models.PayloadSchemaType.KEYWORD, wait=True
    )
    begun = time.monotonic()
    for start in range(0, len(structs), _BATCH):
        client.upsert(_COLLECTION, list(structs[start : start + _BATCH]), wait=True)
    rate = len(structs) / (time.monotonic() - begun)
    deadline = time.monotonic() + _BUILT_WITHIN_SECONDS
    while client.get_collection(_COLLECTION).status != models.CollectionStatus.GREEN:
        if time.monotonic() > deadline:
            raise CannotMeasureError(f"no index was built in {_BUILT_WITHIN_SECONDS:g} s")
        time.sleep(0.2)
    return rate


def _asking(client: QdrantClient, asked: QuerySet, *, filtered: bool) -> Ask:
    queries = asked.queries.tolist()
    parameters = models.SearchParams(hnsw_ef=asked.candidates)

    def ask(number: int) -> list[str]:
        answer = client.query_points(
            _COLLECTION,
            queries[number % len(queries)],
            limit=_LIMIT,
            query_filter=_filter(asked.landmark(number)) if filtered else None,
            search_params=parameters,
            with_payload=True,
        )
        return [str(one.id) for one in answer.points]

    return ask


def _filter(landmark: str) -> models.Filter:
    value = models.MatchValue(value=landmark)
    return models.Filter(must=[models.FieldCondition(key=_FIELD, match=value)])


def _rate(ask: Ask, seconds: float) -> float:
    """Return how many answers a second one caller gets; at least three are waited for."""
    begun = time.monotonic()
    for number in itertools.count():
        if number >= 3 and time.monotonic() > begun + seconds:
            return number / (time.monotonic() - begun)
        ask(number)
    raise AssertionError


def _recall(
    client: QdrantClient,
    vectors: np.ndarray,
    structs: Sequence[models.PointStruct],
    asked: QuerySet,
    *,
    filtered: bool,
    times: int = 50,
) -> float:
    ask = _asking(client, asked, filtered=filtered)
    found = 0
    for number in range(times):
        scores = vectors @ asked.queries[number]
        if filtered:
            wanted = asked.landmark(number)
            own = [bool(one.payload and one.payload[_FIELD] == wanted) for one in structs]
            scores = np.where(own, scores, -2)
        best = {str(structs[place].id) for place in np.argsort(-scores)[:_LIMIT]}
        found += len(best.intersection(ask(number)))  # type: ignore[arg-type]
    return found / (times * _LIMIT)
