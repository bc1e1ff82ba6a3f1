"""A Python client of the search service.

with Landmarks("127.0.0.1:50050") as landmarks:
    answer = landmarks.search(photo=Path("atomium.jpg").read_bytes(), gallery="sample")
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from uuid import uuid4

import grpc

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.indexing.v1.indexing_pb2_grpc import IndexingServiceStub
from landmarkapi.search.v1 import search_pb2
from landmarkapi.search.v1.search_pb2_grpc import SearchServiceStub
from landmarks.errors import DeadlineError, InvalidInputError, UnavailableError
from landmarks.grpc_channel import open_channel
from landmarks.grpc_status import error_from_rpc

DEFAULT_TARGET = "127.0.0.1:50050"

# A photo is at worst decoded by a busy encoder; the rest reads from memory.
_SEARCH_TIMEOUT_SECONDS = 30.0
_CALL_TIMEOUT_SECONDS = 10.0
# A stream is renewed at this age: no call is without a deadline.
_WATCH_TIMEOUT_SECONDS = 300.0
# A job goes on while its watcher cannot reach the service.
_WATCH_PATIENCE_SECONDS = 60.0
_WATCH_PAUSE_SECONDS = 1.0
_PAGE_SIZE = 500

Value = str | int | bool
_ENDED = (
    indexing_pb2.JOB_STATE_SUCCEEDED,
    indexing_pb2.JOB_STATE_FAILED,
    indexing_pb2.JOB_STATE_CANCELLED,
)


class Landmarks:
    """The search service, as functions. Share one between threads.

    Every call has a deadline and raises `landmarks.errors`.
    """

    def __init__(self, target: str = DEFAULT_TARGET) -> None:
        self.target = target
        self._channel = open_channel(target)
        self._search = SearchServiceStub(self._channel)
        self._indexing = IndexingServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def search(
        self,
        *,
        gallery: str,
        photo: bytes | None = None,
        point_id: str | None = None,
        vector: tuple[str, Sequence[float]] | None = None,
        models: Sequence[str] = (),
        where: Mapping[str, Value | Sequence[Value]] | None = None,
        filter: search_pb2.Filter | None = None,  # noqa: A002 - the field's own name
        limit: int = 10,
        offset: int = 0,
        score_threshold: float | None = None,
        exact: bool = False,
        hnsw_ef: int | None = None,
        oversampling: float | None = None,
        timeout: float = _SEARCH_TIMEOUT_SECONDS,
    ) -> search_pb2.SearchResponse:
        """Return the photos of `gallery` most like a photo, a stored point or a (model, vector).

        `where` gives payload fields the value, or one of the values, that hits must have; `filter`
        can say more. Hits pass both.
        """
        conditions = [_condition(field, value) for field, value in (where or {}).items()]
        passing = search_pb2.Filter(must=conditions)
        passing.MergeFrom(filter or search_pb2.Filter())
        request = search_pb2.SearchRequest(
            gallery=gallery,
            models=models,
            filter=passing,
            limit=limit,
            offset=offset,
            score_threshold=score_threshold,
            exact=exact,
            hnsw_ef=hnsw_ef,
            oversampling=oversampling,
        )
        if sum(query is not None for query in (photo, point_id, vector)) != 1:
            raise InvalidInputError("give one of photo, point_id and vector", field="query")
        if photo is not None:
            request.photo = photo
        elif point_id is not None:
            request.point_id = point_id
        elif vector is not None:
            request.vector.model = vector[0]
            request.vector.values.extend(vector[1])
        with self._told(timeout):
            return self._search.Search(request, timeout=timeout)

    def point(self, gallery: str, point_id: str) -> search_pb2.GetPointResponse:
        """Return one stored point."""
        request = search_pb2.GetPointRequest(gallery=gallery, point_id=point_id)
        with self._told(_CALL_TIMEOUT_SECONDS):
            return self._search.GetPoint(request, timeout=_CALL_TIMEOUT_SECONDS)

    def models(self) -> Sequence[search_pb2.ServedModel]:
        """Return the models that can be indexed and searched with, by name, then by target."""
        with self._told(_CALL_TIMEOUT_SECONDS):
            request = search_pb2.ListModelsRequest()
            return self._search.ListModels(request, timeout=_CALL_TIMEOUT_SECONDS).models

    def index(
        self,
        source: str,
        *,
        gallery: str,
        models: Sequence[str] = (),
        splits: Sequence[str] = (),
        source_name: str = "",
        prune: bool = False,
        dry_run: bool = False,
        verify: bool = False,
        request_id: str = "",
    ) -> indexing_pb2.IndexJob:
        """Start a job that puts the photos of `source` into `gallery`, and return it at once.

        It indexes with `models`, or with all that there are. `prune`: points of this source and
        these splits whose photos are gone are deleted. `dry_run`: nothing is changed, and the
        job's counts tell what would be. `verify`: photos are read even where their size and time
        say that they have not changed.

        Calling again with the same `request_id` returns the first call's job. Without one, the call
        gets one of its own, so that the channel's retries start no second job.
        """
        request = indexing_pb2.CreateIndexJobRequest(
            spec=indexing_pb2.IndexSpec(
                gallery=gallery,
                source=source,
                models=models,
                splits=splits,
                source_name=source_name,
                prune=prune,
                dry_run=dry_run,
                verify=verify,
            ),
            request_id=request_id or str(uuid4()),
        )
        with self._told(_SEARCH_TIMEOUT_SECONDS):
            return self._indexing.CreateIndexJob(request, timeout=_SEARCH_TIMEOUT_SECONDS).job

    def job(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002 - the field's own name
        """Return one job."""
        with self._told(_CALL_TIMEOUT_SECONDS):
            request = indexing_pb2.GetIndexJobRequest(id=id)
            return self._indexing.GetIndexJob(request, timeout=_CALL_TIMEOUT_SECONDS).job

    def jobs(self, gallery: str = "") -> Iterator[indexing_pb2.IndexJob]:
        """Yield the jobs of `gallery`, or all, newest first."""
        request = indexing_pb2.ListIndexJobsRequest(gallery=gallery, page_size=_PAGE_SIZE)
        while True:
            with self._told(_CALL_TIMEOUT_SECONDS):
                page = self._indexing.ListIndexJobs(request, timeout=_CALL_TIMEOUT_SECONDS)
            yield from page.jobs
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def watch(self, id: str) -> Iterator[indexing_pb2.IndexJob]:  # noqa: A002
        """Yield a job now, after each change, and a last time when it has ended.

        A stream that breaks, as when a server restarts or a connection has reached its age, is
        opened again; raises UnavailableError where that does not help for a minute.
        """
        broken_since: float | None = None
        while True:
            stream = self._indexing.WatchIndexJob(
                indexing_pb2.WatchIndexJobRequest(id=id), timeout=_WATCH_TIMEOUT_SECONDS
            )
            try:
                with self._told(_WATCH_TIMEOUT_SECONDS):
                    for answer in stream:
                        broken_since = None
                        yield answer.job
                        if answer.job.state in _ENDED:
                            return
            except DeadlineError:
                pass  # a long job: the next stream begins with its present state
            except UnavailableError:
                now = time.monotonic()
                broken_since = broken_since or now
                if now - broken_since > _WATCH_PATIENCE_SECONDS:
                    raise
            finally:
                stream.cancel()
            time.sleep(_WATCH_PAUSE_SECONDS)

    def cancel(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002
        """End a job where it stands, and return it; what is stored stays."""
        with self._told(_CALL_TIMEOUT_SECONDS):
            request = indexing_pb2.CancelIndexJobRequest(id=id)
            return self._indexing.CancelIndexJob(request, timeout=_CALL_TIMEOUT_SECONDS).job

    def resume(self, id: str) -> indexing_pb2.IndexJob:  # noqa: A002
        """Let a cancelled or failed job go on, and return it."""
        with self._told(_CALL_TIMEOUT_SECONDS):
            request = indexing_pb2.ResumeIndexJobRequest(id=id)
            return self._indexing.ResumeIndexJob(request, timeout=_CALL_TIMEOUT_SECONDS).job

    def retry_dead_letters(self, job_id: str) -> indexing_pb2.IndexJob:
        """Try the photos of a job that could not be indexed again, and return the job."""
        with self._told(_CALL_TIMEOUT_SECONDS):
            request = indexing_pb2.RetryDeadLettersRequest(job_id=job_id)
            return self._indexing.RetryDeadLetters(request, timeout=_CALL_TIMEOUT_SECONDS).job

    def dead_letters(self, job_id: str) -> Iterator[indexing_pb2.DeadLetter]:
        """Yield the photos of a job that could not be indexed, oldest first."""
        request = indexing_pb2.ListDeadLettersRequest(job_id=job_id, page_size=_PAGE_SIZE)
        while True:
            with self._told(_CALL_TIMEOUT_SECONDS):
                page = self._indexing.ListDeadLetters(request, timeout=_CALL_TIMEOUT_SECONDS)
            yield from page.dead_letters
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def collections(self, gallery: str = "") -> Sequence[indexing_pb2.Collection]:
        """Return the collections of `gallery`, or all, by name."""
        request = indexing_pb2.ListCollectionsRequest(gallery=gallery)
        with self._told(_CALL_TIMEOUT_SECONDS):
            answer = self._indexing.ListCollections(request, timeout=_CALL_TIMEOUT_SECONDS)
        return answer.collections

    def delete(
        self,
        gallery: str,
        *,
        models: Sequence[str] = (),
        ids: Sequence[str] = (),
        filter: search_pb2.Filter | None = None,  # noqa: A002 - the field's own name
        source: str = "",
        path_prefix: str = "",
    ) -> Sequence[indexing_pb2.DeletedPoints]:
        """Delete points of a gallery: by their ids, by a filter, or those of a source.

        Of a source, those whose path begins with `path_prefix`. Returns how many by collection.
        """
        request = indexing_pb2.DeletePointsRequest(gallery=gallery, models=models)
        if sum(map(bool, (ids, filter is not None, source))) != 1:
            raise InvalidInputError("give one of ids, filter and source", field="points")
        if ids:
            request.ids.ids.extend(ids)
        elif filter is not None:
            request.filter.CopyFrom(filter)
        else:
            request.source.name, request.source.path_prefix = source, path_prefix
        with self._told(_SEARCH_TIMEOUT_SECONDS):
            return self._indexing.DeletePoints(request, timeout=_SEARCH_TIMEOUT_SECONDS).deleted

    def reindex(
        self,
        gallery: str,
        model: str,
        *,
        queries: str = "",
        splits: Sequence[str] = (),
        margin: float = 0.0,
        request_id: str = "",
    ) -> indexing_pb2.IndexJob:
        """Start a job that builds a collection anew with an encoder of another digest.

        The new collection is promoted in the end; with `queries`, a labelled manifest, only if its
        mAP@100 is not lower than that of the live one by more than `margin`. `request_id` is as
        for `index`.
        """
        request = indexing_pb2.ReindexCollectionRequest(
            gallery=gallery,
            model=model,
            reindexing=indexing_pb2.Reindexing(queries=queries, splits=splits, margin=margin),
            request_id=request_id or str(uuid4()),
        )
        with self._told(_SEARCH_TIMEOUT_SECONDS):
            return self._indexing.ReindexCollection(request, timeout=_SEARCH_TIMEOUT_SECONDS).job

    def promote(self, collection: str) -> indexing_pb2.PromoteCollectionResponse:
        """Make a collection the live one of its gallery and model."""
        request = indexing_pb2.PromoteCollectionRequest(name=collection)
        with self._told(_CALL_TIMEOUT_SECONDS):
            return self._indexing.PromoteCollection(request, timeout=_CALL_TIMEOUT_SECONDS)

    def roll_back(self, gallery: str, model: str) -> indexing_pb2.RollbackCollectionResponse:
        """Make the collection live that was so before the present one."""
        live = [one.name for one in self.collections(gallery) if one.live and one.model == model]
        request = indexing_pb2.RollbackCollectionRequest(
            gallery=gallery,
            model=model,
            leaving=live[0] if live else "",  # the channel may send it twice
        )
        with self._told(_CALL_TIMEOUT_SECONDS):
            return self._indexing.RollbackCollection(request, timeout=_CALL_TIMEOUT_SECONDS)

    def drop(self, collection: str, *, live_too: bool = False) -> None:
        """Delete a collection and its points."""
        request = indexing_pb2.DropCollectionRequest(name=collection, live_too=live_too)
        with self._told(_SEARCH_TIMEOUT_SECONDS):
            self._indexing.DropCollection(request, timeout=_SEARCH_TIMEOUT_SECONDS)

    @contextmanager
    def _told(self, timeout: float) -> Iterator[None]:
        """Turn a failed call into the error that tells of it, and of what can be done."""
        try:
            yield
        except grpc.RpcError as error:
            told = error_from_rpc(error, f"the search service at {self.target}")
            if isinstance(told, UnavailableError):
                raise UnavailableError(
                    f"{told}; is the stack running? start it with `landmarks up`"
                ) from error
            if isinstance(told, DeadlineError):
                raise DeadlineError(f"{told} (no answer within {timeout:g} s)") from error
            raise told from error


def _condition(field: str, value: Value | Sequence[Value]) -> search_pb2.Condition:
    if isinstance(value, (str, int)):
        return search_pb2.Condition(field=field, equals=_value(value))
    values = search_pb2.FieldValues(values=[_value(one) for one in value])
    return search_pb2.Condition(field=field, any_of=values)


def _value(value: Value) -> search_pb2.FieldValue:
    if isinstance(value, bool):
        return search_pb2.FieldValue(boolean=value)
    if isinstance(value, int):
        return search_pb2.FieldValue(integer=value)
    return search_pb2.FieldValue(text=value)
