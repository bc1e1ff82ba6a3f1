"""One model's part of a search: encode the photo, ask the collection, say where the time went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from landmarks.encoders_aio import AsyncEncoderDirectory
from landmarks.errors import (
    DeadlineError,
    InvalidInputError,
    LandmarksError,
    LineageError,
    NotFoundError,
)
from search_service.live import LiveCollections
from search_service.request import FloatVector, PhotoQuery, PointQuery, SearchQuery, VectorQuery
from vector_store.collections import Lineage
from vector_store.requests import Hit, Query
from vector_store.search import SearchStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Answer:
    """What a model found, best first. `encode_seconds` is None where nothing was encoded."""

    lineage: Lineage
    hits: Sequence[Hit]
    encode_seconds: float | None
    query_seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a model did not answer."""

    model: str
    error: Exception


class Asker:
    """Asks one model at a time; the search asks several at once."""

    def __init__(
        self, store: SearchStore, live: LiveCollections, encoders: AsyncEncoderDirectory
    ) -> None:
        self._store = store
        self._live = live
        self._encoders = encoders

    async def ask(
        self, query: SearchQuery, lineage: Lineage, depth: int, deadline: float
    ) -> Answer | Failure:
        """Return the first `depth` hits in the collection of `lineage`, or why there are none.

        `deadline` is on the clock of `time.monotonic`.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await self._ask_again(query, lineage, depth, deadline)
        except TimeoutError:
            return Failure(
                lineage.model, DeadlineError(f"model {lineage.model!r} did not answer in time")
            )
        except LandmarksError as error:
            return Failure(lineage.model, error)
        except Exception as error:  # noqa: BLE001 - the other models' answers are still good
            _log.error("a model's search failed", model=lineage.model, exc_info=error)
            return Failure(lineage.model, error)

    async def _ask_again(
        self, query: SearchQuery, lineage: Lineage, depth: int, deadline: float
    ) -> Answer:
        """Ask, and once more where another collection has become live meanwhile."""
        try:
            return await self._ask(query, lineage, depth, deadline)
        except (LineageError, NotFoundError) as error:
            current = await self._live.one(query.gallery, lineage.model, fresh=True)
            if current != lineage:
                return await self._ask(query, current, depth, deadline)
            if isinstance(query.target, PointQuery) and isinstance(error, NotFoundError):
                raise NotFoundError(
                    f"there is no point {query.target.id} in gallery {query.gallery!r} as indexed"
                    f" with {lineage.model!r}"
                ) from error
            raise

    async def _ask(
        self, query: SearchQuery, lineage: Lineage, depth: int, deadline: float
    ) -> Answer:
        encode_seconds = None
        target: FloatVector | UUID
        match query.target:
            case PhotoQuery(photo):
                started = time.monotonic()
                encoded = await self._encoders.encode(
                    lineage.model, photo, lineage.digest, timeout=deadline - started
                )
                encode_seconds = time.monotonic() - started
                target = _of_dimension(encoded.vector, lineage)
            case PointQuery(id_):
                target = id_
            case VectorQuery(_, vector):
                target = _of_dimension(vector, lineage)
        started = time.monotonic()
        [hits] = await self._store.query(
            lineage.name,
            [
                Query(
                    target=target,
                    limit=depth,
                    filter=query.filter,
                    score_threshold=query.score_threshold,
                    exact=query.exact,
                    hnsw_ef=query.hnsw_ef,
                    oversampling=query.oversampling,
                )
            ],
            timeout_seconds=deadline - started,
        )
        # Points of equal score have one order on every page.
        ordered = sorted(hits, key=lambda hit: (-hit.score, hit.id))
        return Answer(lineage, ordered, encode_seconds, time.monotonic() - started)


def _of_dimension(vector: FloatVector, lineage: Lineage) -> FloatVector:
    if vector.shape != (lineage.dimension,):
        raise InvalidInputError(
            f"the vector has {vector.size} values, and vectors of {lineage.model!r} have"
            f" {lineage.dimension}",
            field="vector",
        )
    return vector
