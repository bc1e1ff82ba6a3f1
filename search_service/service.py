"""SearchService: asks all models at once, and makes one answer of theirs."""

from __future__ import annotations

import asyncio
import time
from typing import TypeAlias
from uuid import UUID

import grpc

from landmarkapi.search.v1 import search_pb2 as pb
from landmarkapi.search.v1.search_pb2_grpc import SearchServiceServicer
from landmarks import metrics
from landmarks.encoders_aio import AsyncEncoderDirectory
from landmarks.errors import DeadlineError, LandmarksError, NotFoundError
from landmarks.grpc_status import duration
from landmarks.settings import DEFAULT_MAX_PHOTO_BYTES
from search_service.answers import point_message, search_response
from search_service.asking import Answer, Asker, Failure
from search_service.fusion import depth_for
from search_service.live import LiveCollections
from search_service.request import SearchQuery, point_uuid, search_query
from search_service.telling import most_telling
from search_service.verdict import NEIGHBOURS
from vector_store.collections import Lineage
from vector_store.naming import check_gallery
from vector_store.requests import StoredPoint
from vector_store.search import SearchStore

# What is kept of the caller's time for fusing and for the way back, so that a model that is late
# leaves a partial answer in time and not none.
_RESERVED_SHARE = 0.1
_RESERVED_SECONDS = 0.5

_SearchContext: TypeAlias = grpc.aio.ServicerContext[pb.SearchRequest, pb.SearchResponse]
_PointContext: TypeAlias = grpc.aio.ServicerContext[pb.GetPointRequest, pb.GetPointResponse]
_ModelsContext: TypeAlias = grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse]


class SearchServicer(SearchServiceServicer):
    """Searches galleries."""

    def __init__(
        self,
        store: SearchStore,
        encoders: AsyncEncoderDirectory,
        max_seconds: float = 30,
        max_photo_bytes: int = DEFAULT_MAX_PHOTO_BYTES,
    ) -> None:
        """Search in `store` for at most `max_seconds`, or as long as the caller waits."""
        self._max_photo_bytes = max_photo_bytes
        self._store = store
        self._encoders = encoders
        self._max_seconds = max_seconds
        self._live = LiveCollections(store)
        self._asker = Asker(store, self._live, encoders)

    async def Search(  # noqa: N802 - gRPC's own names
        self, request: pb.SearchRequest, context: _SearchContext
    ) -> pb.SearchResponse:
        """Rank the photos of a gallery by likeness, once per model and fused."""
        started = time.monotonic()
        query = search_query(request, self._max_photo_bytes)
        deadline = started + self._seconds(context.time_remaining())
        asked = await self._asked(query, deadline)
        depth = depth_for(max(query.end, NEIGHBOURS))
        outcomes = await asyncio.gather(
            *(self._asker.ask(query, lineage, depth, deadline) for lineage in asked)
        )
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        if not answers:
            raise most_telling(failures)
        for failure in failures:  # what fails a whole call is counted where every call is
            metrics.failed(failure.error)
        response = search_response(query, answers, failures)
        response.total.CopyFrom(duration(time.monotonic() - started))
        return response

    async def GetPoint(  # noqa: N802
        self, request: pb.GetPointRequest, context: _PointContext
    ) -> pb.GetPointResponse:
        """Read one stored point, and say which models' collections hold it."""
        gallery = check_gallery(request.gallery)
        id_ = point_uuid(request.point_id)
        try:
            async with asyncio.timeout(self._seconds(context.time_remaining())):
                live = await self._live.of(gallery)
                found = await asyncio.gather(
                    *(self._stored(lineage, id_) for lineage in live.values())
                )
        except TimeoutError:
            raise DeadlineError("Qdrant did not answer in time") from None
        held = {model: point for model, point in zip(live, found, strict=True) if point}
        if not held:
            raise NotFoundError(f"there is no point {id_} in gallery {gallery!r}")
        point = next(iter(held.values()))
        return pb.GetPointResponse(point=point_message(point.id, point.payload), models=held)

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,  # noqa: ARG002 - it has no fields
        context: _ModelsContext,
    ) -> pb.ListModelsResponse:
        """Describe every model that this system is set up with, at each of its targets."""
        seconds = min(5.0, self._seconds(context.time_remaining()))
        return pb.ListModelsResponse(
            models=await asyncio.gather(
                *(
                    self._served(model, target, seconds)
                    for model, target in sorted(self._encoders.targets)
                )
            )
        )

    def _seconds(self, callers: float | None) -> float:
        """Return how long to work, given the caller's time, if that has an end."""
        if callers is None:
            return self._max_seconds
        reserved = min(_RESERVED_SECONDS, callers * _RESERVED_SHARE)
        return min(self._max_seconds, callers - reserved)

    async def _asked(self, query: SearchQuery, deadline: float) -> list[Lineage]:
        """Return the collections to ask, in the order asked."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                live = await self._live.of(query.gallery)
                return [
                    await self._live.one(query.gallery, model) for model in query.models or live
                ]
        except TimeoutError:
            raise DeadlineError("Qdrant did not say in time which collections are live") from None

    async def _stored(self, lineage: Lineage, id_: UUID) -> StoredPoint | None:
        try:
            return await self._store.point(lineage.name, id_)
        except NotFoundError:
            return None

    async def _served(self, model: str, target: str, seconds: float) -> pb.ServedModel:
        try:
            said = await self._encoders.describe(model, target, seconds)
        except LandmarksError as error:
            return pb.ServedModel(name=model, target=target, reason=str(error))
        return pb.ServedModel(
            name=model,
            target=target,
            ready=said.ready,
            reason="" if said.ready else said.failure or "it is still loading",
            description=said.description,
            layer=said.layer,
            dimension=said.dimension,
            digest=said.digest,
            runtime=said.runtime,
        )
