"""Searches with one model: encode the photos, query the collection, measure the times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import structlog

from landmarks.encoders.directory_aio import AsyncEncoderDirectory
from landmarks.errors import (
    DeadlineError,
    InvalidInputError,
    LandmarksError,
    LineageError,
    NotFoundError,
    TooLargeError,
)
from landmarks.retrieval.calibration import Calibration
from landmarks.retrieval.fusion import DEPTHS, depth_for
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collection_info import CALIBRATION, LiveCollection
from landmarks.vector_store.filters import fitted
from landmarks.vector_store.queries import Hit, Query
from search_service.search.live_collections import LiveCollections
from search_service.search.query import FloatVector, SearchQuery
from search_service.search.query_vectors import QueryVectorizer, expanded
from search_service.search.recall_monitor import RecallMonitor

_log = structlog.get_logger(__name__)

# Of a long ranking only these fields are read, which fusion needs; the payloads of the page's hits
# are read later. For a short ranking a second read would be slower; it is made where the payloads
# of all hits are too large for a message.
_FIELDS = ("landmark", "sha256")


@dataclass(frozen=True)
class RankedHit:
    """A hit and its rank, from 1, in the engine's ranking before collapsing."""

    hit: Hit
    rank: int


@dataclass(frozen=True)
class ModelAnswer:
    """A model's answer to one query, best hit first.

    `encode_seconds` is None if nothing was encoded. `full_payload`: hits carry all payload fields.
    """

    collection: LiveCollection
    ranked: Sequence[RankedHit]
    encode_seconds: float | None
    query_seconds: float
    full_payload: bool
    vector: FloatVector = field(repr=False, compare=False)

    @property
    def calibration(self) -> Calibration | None:
        """The collection's calibration; None if it has none, or it cannot be read."""
        stored = self.collection.metadata.get(CALIBRATION)
        return _calibration(stored) if isinstance(stored, str) else None


@lru_cache(maxsize=256)
def _calibration(stored: str) -> Calibration | None:
    try:
        return Calibration.from_json(stored)
    except (ValueError, KeyError, TypeError) as error:
        # Without its calibration a verdict has no confidence; the hits are still good.
        _log.warning("cannot read the calibration; calibrate the gallery again", reason=repr(error))
        return None


@dataclass(frozen=True)
class ModelFailure:
    """The error of a model that did not answer a query."""

    model: str
    error: Exception


class ModelSearcher:
    """Searches with one model at a time; the servicer runs several at once."""

    def __init__(
        self,
        store: SearchStore,
        live_collections: LiveCollections,
        encoders: AsyncEncoderDirectory,
        recall: RecallMonitor,
    ) -> None:
        self._store = store
        self._recall = recall
        self._live_collections = live_collections
        self._vectorizer = QueryVectorizer(store, encoders)

    async def search(
        self,
        queries: Sequence[SearchQuery],
        collection: LiveCollection,
        min_depth: int,
        deadline: float,
    ) -> list[ModelAnswer | ModelFailure]:
        """Return, for each query, its first hits in a collection, or the error.

        Reads at least `min_depth` places of a ranking, and as many as the query's page needs.
        `deadline` is on the clock of `time.monotonic`.
        """
        model = collection.lineage.model
        outcomes: Sequence[ModelAnswer | Exception]
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                outcomes = await self._search_with_retry(queries, collection, min_depth, deadline)
        except TimeoutError:
            outcomes = [DeadlineError(f"model {model!r} did not answer in time")] * len(queries)
        except LandmarksError as error:
            outcomes = [error] * len(queries)
        except Exception as error:  # noqa: BLE001 - the other models' answers are still good
            _log.error("a model's search failed", model=model, exc_info=error)
            outcomes = [error] * len(queries)
        return [
            one if isinstance(one, ModelAnswer) else ModelFailure(model, one) for one in outcomes
        ]

    async def _search_with_retry(
        self,
        queries: Sequence[SearchQuery],
        collection: LiveCollection,
        min_depth: int,
        deadline: float,
    ) -> Sequence[ModelAnswer | Exception]:
        """Search, and once more if another collection has become live meanwhile."""
        failed: LandmarksError | None = None
        outcomes: Sequence[ModelAnswer | Exception] = []
        try:
            outcomes = await self._search(queries, collection, min_depth, deadline)
        except (LineageError, NotFoundError) as error:
            failed = error
        if failed or any(isinstance(one, (LineageError, NotFoundError)) for one in outcomes):
            lineage = collection.lineage
            current = await self._live_collections.of_model(
                lineage.gallery, lineage.model, fresh=True
            )
            if current.lineage != lineage:
                return await self._search(queries, current, min_depth, deadline)
        if failed:
            raise failed
        return outcomes

    async def _search(
        self,
        queries: Sequence[SearchQuery],
        collection: LiveCollection,
        min_depth: int,
        deadline: float,
    ) -> Sequence[ModelAnswer | Exception]:
        found = await self._vectorizer.vectorize(queries, collection.lineage, deadline)
        outcomes: list[ModelAnswer | Exception | None] = [None] * len(queries)
        ready: dict[int, FloatVector] = {}
        queries = list(queries)
        for place, (query, vector) in enumerate(zip(queries, found.vectors, strict=True)):
            if isinstance(vector, Exception):
                outcomes[place] = vector
                continue
            try:
                chosen = fitted(query.filter, collection.kinds, collection.lineage.name)
            except InvalidInputError as error:
                outcomes[place] = error
            else:
                queries[place] = replace(query, filter=chosen)
                ready[place] = vector
        started = time.monotonic()
        await self._expand(queries, ready, collection, deadline)
        rankings = await self._rankings(queries, ready, collection, min_depth, deadline)
        seconds = time.monotonic() - started
        for place, (ranked, whole) in rankings.items():
            outcomes[place] = ModelAnswer(
                collection,
                ranked,
                found.encode_seconds if queries[place].photos else None,
                seconds,
                whole,
                ready[place],
            )
        return [one for one in outcomes if one is not None]

    async def _expand(
        self,
        queries: Sequence[SearchQuery],
        vectors: dict[int, FloatVector],
        collection: LiveCollection,
        deadline: float,
    ) -> None:
        """Replace the vectors of queries with `expansion` by their expanded vectors."""
        expansions = {
            place: (expansion, _query(queries[place], vector, expansion.neighbours, vectors=True))
            for place, vector in vectors.items()
            if (expansion := queries[place].expansion) is not None
        }
        first = await self._store.query(
            collection.lineage.name,
            [query for _, query in expansions.values()],
            timeout_seconds=deadline - time.monotonic(),
        )
        for (place, (expansion, _)), hits in zip(expansions.items(), first, strict=True):
            vectors[place] = expanded(vectors[place], hits, expansion.alpha)

    async def _rankings(
        self,
        queries: Sequence[SearchQuery],
        vectors: dict[int, FloatVector],
        collection: LiveCollection,
        min_depth: int,
        deadline: float,
    ) -> dict[int, tuple[list[RankedHit], bool]]:
        """Return each query's ranking, deep enough for its page, and if its payloads are whole."""
        depths = {place: depth_for(max(queries[place].end, min_depth)) for place in vectors}
        rankings: dict[int, tuple[list[RankedHit], bool]] = {}
        whole_to = DEPTHS[0]
        while depths:
            requests = [
                _query(queries[place], vectors[place], depth, whole=depth <= whole_to)
                for place, depth in depths.items()
            ]
            try:
                answers = await self._store.query(
                    collection.lineage.name, requests, timeout_seconds=deadline - time.monotonic()
                )
            except TooLargeError:
                if not whole_to:
                    raise
                whole_to = 0
                continue
            self._recall.sample(collection.lineage.name, requests[0], answers[0])
            deeper: dict[int, int] = {}
            for (place, depth), hits in zip(depths.items(), answers, strict=True):
                query = queries[place]
                ranked = _ranked(hits, collapse=query.collapse_identical)
                rankings[place] = ranked, depth <= whole_to
                # Collapsing has shortened the page: read deeper if the collection has more.
                if len(ranked) < query.end and len(hits) == depth < DEPTHS[-1]:
                    deeper[place] = depth_for(depth + 1)
            depths = deeper
        return rankings


def _query(
    query: SearchQuery,
    vector: FloatVector,
    limit: int,
    *,
    whole: bool = False,
    vectors: bool = False,
) -> Query:
    return Query(
        target=vector,
        limit=limit,
        filter=query.filter,
        score_threshold=query.score_threshold,
        exact=query.exact,
        hnsw_ef=query.hnsw_ef,
        oversampling=query.oversampling,
        without=query.points,
        with_vectors=vectors,
        with_payload=not vectors,
        fields=None if whole else _FIELDS,
    )


def _ranked(hits: Sequence[Hit], *, collapse: bool) -> list[RankedHit]:
    """Return hits in the same order for every page, with ties in the order of ids.

    `collapse`: of photos with the same bytes, keep only the first.
    """
    ordered = sorted(hits, key=lambda hit: (-hit.score, hit.id))
    ranked = [RankedHit(hit, place) for place, hit in enumerate(ordered, start=1)]
    if not collapse:
        return ranked
    first: dict[object, RankedHit] = {}
    for one in ranked:
        first.setdefault(one.hit.payload.get("sha256") or one.hit.id, one)
    return list(first.values())
