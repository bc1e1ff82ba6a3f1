"""SearchService: searches with all models at once and fuses their answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar
from uuid import UUID

import grpc

from landmarkapi.search.v1 import search_pb2 as pb
from landmarkapi.search.v1.search_pb2_grpc import SearchServiceServicer
from landmarks.encoders.directory_aio import AsyncEncoderDirectory
from landmarks.errors import (
    DeadlineError,
    InvalidInputError,
    LandmarksError,
    NotFoundError,
    TooLargeError,
)
from landmarks.naming import check_gallery, check_model
from landmarks.observability import metrics
from landmarks.retrieval.fusion import depth_for
from landmarks.retrieval.verdict import NEIGHBOURS
from landmarks.rpc.channel import MAX_MESSAGE_BYTES
from landmarks.rpc.status import duration, status_of
from landmarks.settings import DEFAULT_MAX_PHOTO_BYTES
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collection_info import Lineage, LiveCollection
from landmarks.vector_store.queries import StoredPoint
from search_service.search.count_values import count_values
from search_service.search.error_selection import select_error
from search_service.search.live_collections import LiveCollections
from search_service.search.model_search import ModelAnswer, ModelFailure, ModelSearcher
from search_service.search.parse_filter import parse_filter, value_message
from search_service.search.parse_request import parse_point_id, parse_search
from search_service.search.query import SearchQuery
from search_service.search.recall_monitor import RecallMonitor
from search_service.search.response import (
    Composed,
    Payloads,
    compose,
    point_message,
    search_response,
)

# The part of the caller's time reserved for fusing and sending, so that a late model results in a
# partial answer in time instead of none.
_RESERVED_SHARE = 0.1
_RESERVED_SECONDS = 0.5
# The least time for reading the payloads of the page, if a late model has used up the rest.
_PAYLOAD_SECONDS = 0.1

MAX_SEARCHES = 64
# The places of all rankings of a batch, for each model: an answer of a few megabytes.
MAX_BATCH_PLACES = 20_000
MAX_VALUES = 10_000
DEFAULT_VALUES = 100

_AnswerT = TypeVar("_AnswerT", pb.SearchResponse, pb.BatchSearchResponse)
_BatchContext: TypeAlias = grpc.aio.ServicerContext[pb.BatchSearchRequest, pb.BatchSearchResponse]
_CountContext: TypeAlias = grpc.aio.ServicerContext[pb.CountValuesRequest, pb.CountValuesResponse]
_SearchContext: TypeAlias = grpc.aio.ServicerContext[pb.SearchRequest, pb.SearchResponse]
_PointContext: TypeAlias = grpc.aio.ServicerContext[pb.GetPointRequest, pb.GetPointResponse]
_ModelsContext: TypeAlias = grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse]


class SearchServicer(SearchServiceServicer):
    """Searches galleries."""

    def __init__(
        self,
        store: SearchStore,
        encoders: AsyncEncoderDirectory,
        recall: RecallMonitor,
        max_seconds: float = 30,
        max_photo_bytes: int = DEFAULT_MAX_PHOTO_BYTES,
    ) -> None:
        """Search for at most `max_seconds`, or until the caller's deadline."""
        self._max_photo_bytes = max_photo_bytes
        self._store = store
        self._encoders = encoders
        self._max_seconds = max_seconds
        self._live_collections = LiveCollections(store)
        self._searcher = ModelSearcher(store, self._live_collections, encoders, recall)

    async def Search(  # noqa: N802 - gRPC's own names
        self, request: pb.SearchRequest, context: _SearchContext
    ) -> pb.SearchResponse:
        """Rank the photos of a gallery by likeness, once per model and fused."""
        started = time.monotonic()
        query = parse_search(request, self._max_photo_bytes)
        deadline = started + self._seconds(context.time_remaining())
        [outcome] = await self._answer([query], deadline)
        if isinstance(outcome, Exception):
            raise outcome
        outcome.total.CopyFrom(duration(time.monotonic() - started))
        return _small_enough(outcome)

    async def BatchSearch(  # noqa: N802
        self, request: pb.BatchSearchRequest, context: _BatchContext
    ) -> pb.BatchSearchResponse:
        """Answer several searches of one gallery, each with an answer or an error of its own."""
        started = time.monotonic()
        if not 1 <= len(request.searches) <= MAX_SEARCHES:
            raise InvalidInputError(
                f"{len(request.searches)} searches given; 1 to {MAX_SEARCHES} are allowed",
                field="searches",
            )
        galleries = {one.gallery for one in request.searches}
        if len(galleries) > 1:
            raise InvalidInputError(
                f"the searches are of several galleries: {', '.join(sorted(galleries))}; send"
                " one batch per gallery",
                field="searches",
            )
        deadline = started + self._seconds(context.time_remaining())
        queries: dict[int, SearchQuery] = {}
        outcomes: dict[int, pb.SearchResponse | Exception] = {}
        for place, one in enumerate(request.searches):
            try:
                queries[place] = parse_search(one, self._max_photo_bytes)
            except InvalidInputError as error:
                outcomes[place] = error
        places = sum(depth_for(query.end) for query in queries.values())
        if len(queries) > 1 and places > MAX_BATCH_PLACES:
            raise InvalidInputError(
                f"these searches need {places:,} places of rankings; at most {MAX_BATCH_PLACES:,}"
                " are allowed in one batch; send fewer searches, or request earlier pages",
                field="searches",
            )
        answered = await self._answer(list(queries.values()), deadline) if queries else []
        outcomes.update(zip(queries, answered, strict=True))
        return _small_enough(
            pb.BatchSearchResponse(
                results=[
                    _result(outcomes[place], time.monotonic() - started)
                    for place in range(len(request.searches))
                ]
            )
        )

    async def CountValues(  # noqa: N802
        self, request: pb.CountValuesRequest, context: _CountContext
    ) -> pb.CountValuesResponse:
        """Count the points of a gallery by the values of an indexed field."""
        gallery = check_gallery(request.gallery)
        name = request.field or "landmark"
        limit = request.limit or DEFAULT_VALUES
        if not 1 <= limit <= MAX_VALUES:
            raise InvalidInputError(
                f"limit is {limit}; it must be 1 to {MAX_VALUES}", field="limit"
            )
        conditions = parse_filter(request.filter)
        try:
            async with asyncio.timeout(self._seconds(context.time_remaining())):
                live = await self._live_collections.of_gallery(gallery)
                chosen = (
                    await self._live_collections.of_model(gallery, check_model(request.model))
                    if request.model
                    else next(iter(live.values()))
                )
                counts = await count_values(
                    self._store, chosen, name, request.period, conditions, limit
                )
        except TimeoutError:
            raise DeadlineError("Qdrant did not answer in time") from None
        return pb.CountValuesResponse(
            values=[
                pb.ValueCount(value=value_message(one.value), points=one.count) for one in counts
            ],
            collection=chosen.lineage.name,
        )

    async def GetPoint(  # noqa: N802
        self, request: pb.GetPointRequest, context: _PointContext
    ) -> pb.GetPointResponse:
        """Read one stored point, and which models' collections hold it."""
        gallery = check_gallery(request.gallery)
        id_ = parse_point_id(request.point_id)
        try:
            async with asyncio.timeout(self._seconds(context.time_remaining())):
                live = await self._live_collections.of_gallery(gallery)
                found = await asyncio.gather(
                    *(self._find_point(one.lineage, id_) for one in live.values())
                )
        except TimeoutError:
            raise DeadlineError("Qdrant did not answer in time") from None
        held = {model: point for model, point in zip(live, found, strict=True) if point}
        if not held:
            raise NotFoundError(f"gallery {gallery!r} has no point {id_}")
        point = next(iter(held.values()))
        return pb.GetPointResponse(point=point_message(point.id, point.payload), models=held)

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,  # noqa: ARG002 - it has no fields
        context: _ModelsContext,
    ) -> pb.ListModelsResponse:
        """Describe every configured model, at each of its targets, in each revision."""
        seconds = min(5.0, self._seconds(context.time_remaining()))
        answers = await asyncio.gather(
            *(
                self._describe(model, target, seconds)
                for model, target in sorted(self._encoders.targets)
            )
        )
        return pb.ListModelsResponse(models=[one for answer in answers for one in answer])

    def _seconds(self, remaining: float | None) -> float:
        """Return how long to work, given the caller's remaining time or None."""
        if remaining is None:
            return self._max_seconds
        reserved = min(_RESERVED_SECONDS, remaining * _RESERVED_SHARE)
        return min(self._max_seconds, remaining - reserved)

    async def _answer(
        self, queries: Sequence[SearchQuery], deadline: float
    ) -> list[pb.SearchResponse | Exception]:
        """Return the answer to each query, all of one gallery, or its error."""
        searched: list[list[LiveCollection] | LandmarksError] = []
        for query in queries:
            try:
                searched.append(await self._collections_of(query, deadline))
            except NotFoundError as error:
                searched.append(error)
        by_model: dict[LiveCollection, list[int]] = {}
        for place, collections in enumerate(searched):
            for live in () if isinstance(collections, LandmarksError) else collections:
                by_model.setdefault(live, []).append(place)
        outcomes = await asyncio.gather(
            *(
                self._searcher.search(
                    [queries[place] for place in places], live, NEIGHBOURS, deadline
                )
                for live, places in by_model.items()
            )
        )
        found: dict[tuple[int, LiveCollection], ModelAnswer | ModelFailure] = {
            (place, live): outcome
            for (live, places), some in zip(by_model.items(), outcomes, strict=True)
            for place, outcome in zip(places, some, strict=True)
        }
        composed: list[Composed | Exception] = []
        for place, collections in enumerate(searched):
            composed.append(
                collections
                if isinstance(collections, LandmarksError)
                else _composed(queries[place], [found[place, live] for live in collections])
            )
            if len(queries) > 1:  # deep rankings take a while: let other calls run
                await asyncio.sleep(0)
        try:
            async with asyncio.timeout(max(_PAYLOAD_SECONDS, deadline - time.monotonic())):
                payloads = await self._payloads([c for c in composed if isinstance(c, Composed)])
        except TimeoutError:
            return [DeadlineError("Qdrant did not return the payloads of the hits in time")] * len(
                queries
            )
        except TooLargeError as error:  # then so is the answer, which shows all of them
            raise _too_large("") from error
        return [
            search_response(one, payloads) if isinstance(one, Composed) else one for one in composed
        ]

    async def _payloads(self, composed: Sequence[Composed]) -> Payloads:
        """Read the payloads that all answers show, with one call per collection."""
        missing: dict[str, set[UUID]] = {}
        for one in composed:
            for collection, ids in one.missing().items():
                missing.setdefault(collection, set()).update(ids)
        read = await asyncio.gather(*(self._read(name, ids) for name, ids in missing.items()))
        return dict(zip(missing, read, strict=True))

    async def _read(self, collection: str, ids: set[UUID]) -> Mapping[UUID, Mapping[str, object]]:
        try:
            return await self._store.payloads(collection, list(ids))
        except NotFoundError:  # dropped since it was searched; the hits remain
            return {}

    async def _collections_of(self, query: SearchQuery, deadline: float) -> list[LiveCollection]:
        """Return the collections to search, in the requested order."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                live = await self._live_collections.of_gallery(query.gallery)
                return [
                    await self._live_collections.of_model(query.gallery, model)
                    for model in query.models or live
                ]
        except TimeoutError:
            raise DeadlineError("Qdrant did not list the live collections in time") from None

    async def _find_point(self, lineage: Lineage, id_: UUID) -> StoredPoint | None:
        try:
            return await self._store.point(lineage.name, id_)
        except NotFoundError:
            return None

    async def _describe(self, model: str, target: str, seconds: float) -> list[pb.ServedModel]:
        try:
            answer = await self._encoders.describe(model, target, seconds)
        except LandmarksError as error:
            return [pb.ServedModel(name=model, target=target, reason=str(error))]
        return [
            pb.ServedModel(
                name=model,
                target=target,
                ready=one.ready,
                reason="" if one.ready else one.failure or "it is still loading",
                description=one.description,
                layer=one.layer,
                dimension=one.dimension,
                digest=one.digest,
                runtime=one.runtime,
                superseded_by=one.superseded_by,
            )
            for one in (answer.model, *answer.earlier)
        ]


def _small_enough(answer: _AnswerT) -> _AnswerT:
    """Return an answer; raises TooLargeError if gRPC would not send it."""
    size = answer.ByteSize()
    if size > MAX_MESSAGE_BYTES:
        raise _too_large(f"{size:,} bytes, ")
    return answer


def _too_large(size: str) -> TooLargeError:
    return TooLargeError(
        f"the answer is too large: it would have {size}more than the {MAX_MESSAGE_BYTES:,} of a"
        " message, as the photos of this gallery have large payloads; ask for fewer hits (`limit`),"
        " fewer models, or fewer searches in a batch",
        field="limit",
    )


def _composed(
    query: SearchQuery, outcomes: Sequence[ModelAnswer | ModelFailure]
) -> Composed | Exception:
    """Compose all models' answers into one, or return the error if there are none."""
    answers = [outcome for outcome in outcomes if isinstance(outcome, ModelAnswer)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, ModelFailure)]
    if not answers:
        return select_error(failures)
    for failure in failures:  # failures of a whole call are counted by the interceptor
        metrics.failed(failure.error)
    try:
        return compose(query, answers, failures)
    except InvalidInputError as error:
        return error


def _result(outcome: pb.SearchResponse | Exception, seconds: float) -> pb.BatchSearchResult:
    if isinstance(outcome, Exception):
        metrics.failed(outcome)
        return pb.BatchSearchResult(error=status_of(outcome))
    outcome.total.CopyFrom(duration(seconds))
    return pb.BatchSearchResult(response=outcome)
