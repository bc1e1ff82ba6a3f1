# Generated from aio.py by scripts/generate_sync_client.py; do not edit.
"""The client for threads."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, Unpack

import grpc

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.search.v1 import search_pb2
from landmarks.client import calls
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
from landmarks.client.sync_transport import open_channel, sleep
from landmarks.errors import LandmarksError
from landmarks.rpc.channel import key_headers
from landmarks.security.tls import NO_TLS, Tls


class Landmarks:
    """The search service, as functions. Share one between threads.

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def on_behalf_of(self, api_key: str) -> Landmarks:
        """Return a client that calls over the same connection with another key."""
        other = copy.copy(self)
        other._metadata = tuple(key_headers(api_key).items())
        return other

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def search(
        self,
        *,
        timeout: float = SEARCH_SECONDS,
        **options: Unpack[Search],
    ) -> search_pb2.SearchResponse:
        """Return the photos of a gallery most like a photo, a point, a vector or examples.

        `Search` describes the options.
        """
        return self._call(calls.search(options, timeout))

    def batch_search(
        self,
        searches: Sequence[Search],
        *,
        timeout: float = SEARCH_SECONDS,
    ) -> list[search_pb2.SearchResponse | LandmarksError]:
        """Return the answer, or the error, of each of several searches of one gallery."""
        return calls.outcomes(self._call(calls.batch_search(searches, timeout)))

    def count_values(
        self, gallery: str, field: str = "landmark", **options: Unpack[calls.CountOptions]
    ) -> Sequence[search_pb2.ValueCount]:
        """Return how many points of a gallery have each value of a field, most frequent first."""
        return (self._call(calls.count_values(gallery, field, options))).values

    def point(self, gallery: str, point_id: str) -> search_pb2.GetPointResponse:
        """Return one stored point."""
        return self._call(calls.point(gallery, point_id))

    def models(self) -> Sequence[search_pb2.ServedModel]:
        """Return the models that can be indexed and searched with, by name, then by target."""
        return (self._call(calls.models())).models

    def index(
        self, source: str, *, gallery: str, **options: Unpack[calls.IndexOptions]
    ) -> indexing_pb2.IndexJob:
        """Start a job that puts the photos of `source` into `gallery`, and return it at once."""
        return (self._call(calls.index(source, gallery, options))).job

    def job(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002 - the field's own name
        """Return one job."""
        return (self._call(calls.job(id))).job

    def jobs(self, gallery: str = "") -> Iterator[indexing_pb2.IndexJob]:
        """Yield the jobs of `gallery`, or all, newest first."""
        page = self._call(calls.jobs(gallery, ""))
        while True:
            yield from page.jobs
            if not page.next_page_token:
                return
            page = self._call(calls.jobs(gallery, page.next_page_token))

    def watch(self, id: str) -> Iterator[indexing_pb2.IndexJob]:  # noqa: A002
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
                for answer in stream:
                    retry.received()
                    yield answer.job
                    if answer.job.state in calls.ENDED:
                        return
            except grpc.RpcError as error:
                retry.check(error)
            finally:
                stream.cancel()
            sleep(WATCH_PAUSE_SECONDS)

    def cancel(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002
        """Cancel a job and return it; what is stored stays."""
        return (self._call(calls.cancel(id))).job

    def resume(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002
        """Resume a cancelled or failed job, and return it."""
        return (self._call(calls.resume(id))).job

    def retry_dead_letters(self, job_id: str) -> indexing_pb2.IndexJob:
        """Retry the photos of a job that could not be indexed, and return the job."""
        return (self._call(calls.retry_dead_letters(job_id))).job

    def dead_letters(self, job_id: str) -> Iterator[indexing_pb2.DeadLetter]:
        """Yield the photos of a job that could not be indexed, oldest first."""
        page = self._call(calls.dead_letters(job_id, ""))
        while True:
            yield from page.dead_letters
            if not page.next_page_token:
                return
            page = self._call(calls.dead_letters(job_id, page.next_page_token))

    def collections(self, gallery: str = "") -> Sequence[indexing_pb2.Collection]:
        """Return the collections of `gallery`, or all, by name."""
        return (self._call(calls.collections(gallery))).collections

    def delete(
        self, gallery: str, **options: Unpack[calls.DeletionOptions]
    ) -> Sequence[indexing_pb2.DeletedPoints]:
        """Delete points by their ids, by a filter or of a source; return how many by collection."""
        return (self._call(calls.delete(gallery, options))).deleted

    def count_points(
        self, gallery: str, **options: Unpack[calls.DeletionOptions]
    ) -> Sequence[indexing_pb2.CountedPoints]:
        """Return how many points `delete` would delete with these options, by collection."""
        return (self._call(calls.count_points(gallery, options))).counts

    def reindex(
        self, gallery: str, model: str, **options: Unpack[calls.ReindexOptions]
    ) -> indexing_pb2.IndexJob:
        """Start a job that re-embeds a collection with an encoder of another digest.

        The new collection is promoted at the end.
        """
        return (self._call(calls.reindex(gallery, model, options))).job

    def calibrate(
        self, gallery: str, **options: Unpack[calls.CalibrationOptions]
    ) -> indexing_pb2.IndexJob:
        """Start a job that calibrates the verdicts of a gallery."""
        return (self._call(calls.calibrate(gallery, options))).job

    def draw_map(self, gallery: str, model: str, *, request_id: str = "") -> indexing_pb2.IndexJob:
        """Start a job that draws the map of a live collection, its vectors in two dimensions."""
        return (self._call(calls.draw_map(gallery, model, request_id))).job

    def map(self, gallery: str, model: str) -> indexing_pb2.GetMapResponse:
        """Return the map of a live collection; raises NotFoundError if none has been drawn."""
        return self._call(calls.map_(gallery, model))

    def promote(self, collection: str) -> indexing_pb2.PromoteCollectionResponse:
        """Make a collection the live one of its gallery and model."""
        return self._call(calls.promote(collection))

    def roll_back(self, gallery: str, model: str) -> indexing_pb2.RollbackCollectionResponse:
        """Make the collection live that was live before the present one."""
        present = self.collections(gallery)
        return self._call(calls.roll_back(gallery, model, present))

    def check_copies(
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
        return (self._call(call)).job

    def drop(self, collection: str, *, live_too: bool = False) -> None:
        """Delete a collection and its points."""
        self._call(calls.drop(collection, live_too=live_too))

    def drop_gallery(
        self, gallery: str, *, dry_run: bool = False
    ) -> Sequence[indexing_pb2.DeletedPoints]:
        """Delete all collections of a gallery; return how many points that was, by collection.

        `dry_run`: delete nothing, and return what would be deleted.
        """
        return (self._call(calls.drop_gallery(gallery, dry_run=dry_run))).deleted

    def _call(self, call: RpcCall[Answer]) -> Answer:
        """Make a call, with all attempts within its deadline."""
        method = self._channel.unary_unary(
            call.method,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        retry = CallRetry(self.target, call.seconds)
        while True:
            try:
                return method(call.request, timeout=retry.next_timeout(), metadata=self._metadata)
            except grpc.RpcError as error:
                pause = retry.pause(error)
            sleep(pause)
