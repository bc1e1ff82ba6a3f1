"""The client for an event loop, and the source that `sync` is generated from."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self, Unpack

import grpc

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.search.v1 import search_pb2
from landmarks.client import calls
from landmarks.client.aio_transport import open_channel, sleep
from landmarks.client.retry import (
    DEFAULT_TARGET,
    SEARCH_SECONDS,
    WATCH_PAUSE_SECONDS,
    Answer,
    CallRetry,
    RpcCall,
    StreamRetry,
)
from landmarks.client.search_request import Search
from landmarks.errors import LandmarksError
from landmarks.rpc.channel import key_headers
from landmarks.security.tls import NO_TLS, Tls


class AsyncLandmarks:
    """The search service, as coroutines. Share one within the event loop it was created in.

    Every call has a deadline, retries within it when a busy service says so, and raises
    `landmarks.errors`.

    `tls` has a CA and, if the service demands one, a certificate: see `landmarks.security.tls`.
    """

    def __init__(
        self, target: str = DEFAULT_TARGET, *, api_key: str = "", tls: Tls = NO_TLS
    ) -> None:
        self.target = target
        self._channel = open_channel(target, tls)
        self._metadata = tuple(key_headers(api_key).items())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def on_behalf_of(self, api_key: str) -> AsyncLandmarks:
        """Return a client that calls over the same connection with another key."""
        other = copy.copy(self)
        other._metadata = tuple(key_headers(api_key).items())
        return other

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def search(
        self,
        *,
        timeout: float = SEARCH_SECONDS,  # noqa: ASYNC109 - gRPC keeps it
        **options: Unpack[Search],
    ) -> search_pb2.SearchResponse:
        """Return the photos of a gallery most like a photo, a point, a vector or examples.

        `Search` describes the options.
        """
        return await self._call(calls.search(options, timeout))

    async def batch_search(
        self,
        searches: Sequence[Search],
        *,
        timeout: float = SEARCH_SECONDS,  # noqa: ASYNC109 - gRPC keeps it
    ) -> list[search_pb2.SearchResponse | LandmarksError]:
        """Return the answer, or the error, of each of several searches of one gallery."""
        return calls.outcomes(await self._call(calls.batch_search(searches, timeout)))

    async def count_values(
        self, gallery: str, field: str = "landmark", **options: Unpack[calls.CountOptions]
    ) -> Sequence[search_pb2.ValueCount]:
        """Return how many points of a gallery have each value of a field, most frequent first."""
        return (await self._call(calls.count_values(gallery, field, options))).values

    async def point(self, gallery: str, point_id: str) -> search_pb2.GetPointResponse:
        """Return one stored point."""
        return await self._call(calls.point(gallery, point_id))

    async def models(self) -> Sequence[search_pb2.ServedModel]:
        """Return the models that can be indexed and searched with, by name, then by target."""
        return (await self._call(calls.models())).models

    async def index(
        self, source: str, *, gallery: str, **options: Unpack[calls.IndexOptions]
    ) -> indexing_pb2.IndexJob:
        """Start a job that puts the photos of `source` into `gallery`, and return it at once."""
        return (await self._call(calls.index(source, gallery, options))).job

    async def job(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002 - the field's own name
        """Return one job."""
        return (await self._call(calls.job(id))).job

    async def jobs(self, gallery: str = "") -> AsyncIterator[indexing_pb2.IndexJob]:
        """Yield the jobs of `gallery`, or all, newest first."""
        page = await self._call(calls.jobs(gallery, ""))
        while True:
            for job in page.jobs:
                yield job
            if not page.next_page_token:
                return
            page = await self._call(calls.jobs(gallery, page.next_page_token))

    async def watch(self, id: str) -> AsyncIterator[indexing_pb2.IndexJob]:  # noqa: A002
        """Yield a job now, after each change, and a last time when it has ended.

        A stream that breaks, as when a server restarts or a connection has reached its age, is
        reopened; raises UnavailableError if that has not helped for a minute.
        """
        call, retry = calls.watch(id), StreamRetry(self.target)
        method = self._channel.unary_stream(
            call.method,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        while True:
            stream = method(call.request, timeout=call.seconds, metadata=self._metadata)
            try:
                async for answer in stream:
                    retry.received()
                    yield answer.job
                    if answer.job.state in calls.ENDED:
                        return
            except grpc.RpcError as error:
                retry.check(error)
            finally:
                stream.cancel()
            await sleep(WATCH_PAUSE_SECONDS)

    async def cancel(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002
        """Cancel a job and return it; what is stored stays."""
        return (await self._call(calls.cancel(id))).job

    async def resume(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002
        """Resume a cancelled or failed job, and return it."""
        return (await self._call(calls.resume(id))).job

    async def retry_dead_letters(self, job_id: str) -> indexing_pb2.IndexJob:
        """Retry the photos of a job that could not be indexed, and return the job."""
        return (await self._call(calls.retry_dead_letters(job_id))).job

    async def dead_letters(self, job_id: str) -> AsyncIterator[indexing_pb2.DeadLetter]:
        """Yield the photos of a job that could not be indexed, oldest first."""
        page = await self._call(calls.dead_letters(job_id, ""))
        while True:
            for letter in page.dead_letters:
                yield letter
            if not page.next_page_token:
                return
            page = await self._call(calls.dead_letters(job_id, page.next_page_token))

    async def collections(self, gallery: str = "") -> Sequence[indexing_pb2.Collection]:
        """Return the collections of `gallery`, or all, by name."""
        return (await self._call(calls.collections(gallery))).collections

    async def delete(
        self, gallery: str, **options: Unpack[calls.DeletionOptions]
    ) -> Sequence[indexing_pb2.DeletedPoints]:
        """Delete points by their ids, by a filter or of a source; return how many by collection."""
        return (await self._call(calls.delete(gallery, options))).deleted

    async def count_points(
        self, gallery: str, **options: Unpack[calls.DeletionOptions]
    ) -> Sequence[indexing_pb2.CountedPoints]:
        """Return how many points `delete` would delete with these options, by collection."""
        return (await self._call(calls.count_points(gallery, options))).counts

    async def reindex(
        self, gallery: str, model: str, **options: Unpack[calls.ReindexOptions]
    ) -> indexing_pb2.IndexJob:
        """Start a job that re-embeds a collection with an encoder of another digest.

        The new collection is promoted at the end.
        """
        return (await self._call(calls.reindex(gallery, model, options))).job

    async def calibrate(
        self, gallery: str, **options: Unpack[calls.CalibrationOptions]
    ) -> indexing_pb2.IndexJob:
        """Start a job that calibrates the verdicts of a gallery."""
        return (await self._call(calls.calibrate(gallery, options))).job

    async def draw_map(
        self, gallery: str, model: str, *, request_id: str = ""
    ) -> indexing_pb2.IndexJob:
        """Start a job that draws the map of a live collection, its vectors in two dimensions."""
        return (await self._call(calls.draw_map(gallery, model, request_id))).job

    async def map(self, gallery: str, model: str) -> indexing_pb2.GetMapResponse:
        """Return the map of a live collection; raises NotFoundError if none has been drawn."""
        return await self._call(calls.map_(gallery, model))

    async def promote(self, collection: str) -> indexing_pb2.PromoteCollectionResponse:
        """Make a collection the live one of its gallery and model."""
        return await self._call(calls.promote(collection))

    async def roll_back(self, gallery: str, model: str) -> indexing_pb2.RollbackCollectionResponse:
        """Make the collection live that was live before the present one."""
        present = await self.collections(gallery)
        return await self._call(calls.roll_back(gallery, model, present))

    async def check_copies(
        self,
        collection: str,
        *,
        repair: bool = False,
        delete_unclear: bool = False,
        request_id: str = "",
    ) -> indexing_pb2.IndexJob:
        """Start a job that compares the copies of a collection in a cluster.

        `repair`: each copy is first given what it lacks. `delete_unclear`: photos without a
        generation that a copy lacks are deleted instead.
        """
        call = calls.check_copies(
            collection, repair=repair, delete_unclear=delete_unclear, request_id=request_id
        )
        return (await self._call(call)).job

    async def drop(self, collection: str, *, live_too: bool = False) -> None:
        """Delete a collection and its points."""
        await self._call(calls.drop(collection, live_too=live_too))

    async def drop_gallery(
        self, gallery: str, *, dry_run: bool = False
    ) -> Sequence[indexing_pb2.DeletedPoints]:
        """Delete all collections of a gallery; return how many points that was, by collection.

        `dry_run`: delete nothing, and return what would be deleted.
        """
        return (await self._call(calls.drop_gallery(gallery, dry_run=dry_run))).deleted

    async def _call(self, call: RpcCall[Answer]) -> Answer:
        """Make a call, with all attempts within its deadline."""
        method = self._channel.unary_unary(
            call.method,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        retry = CallRetry(self.target, call.seconds)
        while True:
            try:
                return await method(
                    call.request, timeout=retry.next_timeout(), metadata=self._metadata
                )
            except grpc.RpcError as error:
                pause = retry.pause(error)
            await sleep(pause)
