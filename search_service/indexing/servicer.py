"""IndexingService: starts and follows indexing jobs, and lists and changes collections."""
# ruff: noqa: N802 - the contract names the methods

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from concurrent.futures import ThreadPoolExecutor

import grpc
import structlog

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarkapi.indexing.v1.indexing_pb2_grpc import IndexingServiceServicer
from landmarks.errors import InvalidInputError, LineageError, NotFoundError, UnavailableError
from landmarks.job_store.copy_checks import CopyChecks
from landmarks.job_store.maps import MapStore
from landmarks.job_store.open_writes import OpenWrites
from landmarks.job_store.records import Job
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.source_names import SourceNames
from landmarks.job_store.spec import JobKind
from landmarks.job_store.store import JobStore, no_such_job
from landmarks.naming import check_gallery, check_model
from landmarks.photos.sources import Sources
from landmarks.security.caller import present_caller
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.cluster import Cluster
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks.vector_store.store import VectorStore
from search_service.indexing.blocking_methods import in_thread, starting_job
from search_service.indexing.collection_admin import CollectionAdmin
from search_service.indexing.job_watch import JobChanges
from search_service.indexing.messages import (
    collection_message,
    dead_letter_message,
    job_message,
    map_message,
    parse_spec,
)
from search_service.indexing.submission import JobSubmitter
from search_service.search.recall_monitor import RecallMonitor

_log = structlog.get_logger(__name__)

# Starting a job reads its source, which may be a server that hangs.
_STARTING_THREADS = 4
_MAX_PAGE = 1000
_JOBS_PAGE = 50
_LETTERS_PAGE = 100
# A watcher polls too, in case a notification was lost; and of changes in quick succession it gets
# the last.
_POLL_SECONDS = 1.0
_DEBOUNCE_SECONDS = 0.1


def create_indexing_servicer(
    *,
    redis_url: str,
    models: Collection[str],
    sources: Sources,
    collections: SearchStore,
    qdrant: VectorStoreSettings,
    recall: RecallMonitor,
) -> IndexingServicer:
    """Assemble the servicer; it connects to Redis on first use. Close it when done.

    `models` are the names with an encoder (the keys of `LANDMARKS_ENCODERS`); `sources` has the
    same allowed roots as the workers: `Sources(SourceRoots(settings.source_roots))`.
    """
    jobs = JobStore(connect_redis(redis_url), redis_url)
    maps = MapStore(connect_redis(redis_url), redis_url)
    store = VectorStore(qdrant)
    open_writes = OpenWrites(connect_redis(redis_url), redis_url)
    admin = CollectionAdmin(store, jobs, maps, open_writes)
    checks = CopyChecks(connect_redis(redis_url), redis_url)
    names = SourceNames(connect_redis(redis_url), redis_url)
    submitter = JobSubmitter(jobs, names, redis_url, models, sources, admin, Cluster(qdrant))
    return IndexingServicer(
        jobs,
        JobChanges(redis_url),
        submitter,
        collections,
        store,
        admin,
        maps,
        checks,
        recall,
    )


class IndexingServicer(IndexingServiceServicer):
    """The service. Calls that block (Redis, the broker, reading a source) run in threads."""

    def __init__(
        self,
        jobs: JobStore,
        changes: JobChanges,
        submitter: JobSubmitter,
        collections: SearchStore,
        store: VectorStore,
        admin: CollectionAdmin,
        maps: MapStore,
        checks: CopyChecks,
        recall: RecallMonitor,
    ) -> None:
        self._jobs = jobs
        self._changes = changes
        self._submitter = submitter
        self._collections = collections
        self._store = store
        self._admin = admin
        self._maps = maps
        self._checks = checks
        self._recall = recall
        self.starting = ThreadPoolExecutor(_STARTING_THREADS, thread_name_prefix="start-job")

    async def close(self) -> None:
        """Close the connections."""
        self.starting.shutdown(wait=False, cancel_futures=True)
        await self._changes.close()
        await asyncio.to_thread(self._store.close)
        await asyncio.to_thread(self._submitter.close)
        await asyncio.to_thread(self._maps.close)
        await asyncio.to_thread(self._checks.close)
        await asyncio.to_thread(self._jobs.close)

    def _job(self, job_id: str) -> Job:
        """Return a job of a gallery that the caller may use; raises NotFoundError."""
        job = self._jobs.get(job_id)
        if not present_caller().may_use(job.spec.gallery):
            raise no_such_job(job_id)
        return job

    @starting_job
    def CreateIndexJob(self, request: pb.CreateIndexJobRequest) -> pb.CreateIndexJobResponse:
        """Check the request as far as is quick, record the job and enqueue it."""
        try:
            job = self._submitter.index(parse_spec(request.spec), request.request_id)
        except InvalidInputError as error:
            if error.field not in pb.IndexSpec.DESCRIPTOR.fields_by_name:
                raise
            raise InvalidInputError(str(error), field=f"spec.{error.field}") from error
        return pb.CreateIndexJobResponse(job=job_message(job))

    @starting_job
    def ReindexCollection(
        self, request: pb.ReindexCollectionRequest
    ) -> pb.ReindexCollectionResponse:
        """Check the request as far as is quick, record the job and enqueue it."""
        job = self._submitter.reindex(request)
        return pb.ReindexCollectionResponse(job=job_message(job))

    @starting_job
    def CalibrateGallery(self, request: pb.CalibrateGalleryRequest) -> pb.CalibrateGalleryResponse:
        """Check the request as far as is quick, record the job and enqueue it."""
        job = self._submitter.calibrate(request)
        return pb.CalibrateGalleryResponse(job=job_message(job))

    @starting_job
    def DrawMap(self, request: pb.DrawMapRequest) -> pb.DrawMapResponse:
        """Check the request as far as is quick, record the job and enqueue it."""
        return pb.DrawMapResponse(job=job_message(self._submitter.draw_map(request)))

    @starting_job
    def CheckCopies(self, request: pb.CheckCopiesRequest) -> pb.CheckCopiesResponse:
        """Check the request, record the job and enqueue it."""
        job = self._submitter.check_copies(request)
        return pb.CheckCopiesResponse(job=job_message(job))

    @in_thread
    def GetIndexJob(self, request: pb.GetIndexJobRequest) -> pb.GetIndexJobResponse:
        """Read one job."""
        return pb.GetIndexJobResponse(job=job_message(self._job(request.id)))

    @in_thread
    def ListIndexJobs(self, request: pb.ListIndexJobsRequest) -> pb.ListIndexJobsResponse:
        """Read a page of jobs."""
        size = _page_size(request.page_size, _JOBS_PAGE)
        caller = present_caller()
        if request.gallery:
            caller.check_gallery(request.gallery)
        jobs, following = self._jobs.page(
            request.gallery, size, request.page_token, caller.galleries
        )
        return pb.ListIndexJobsResponse(
            jobs=[job_message(job) for job in jobs], next_page_token=following
        )

    @in_thread
    def CancelIndexJob(self, request: pb.CancelIndexJobRequest) -> pb.CancelIndexJobResponse:
        """Cancel a job."""
        job = self._job(request.id)
        return pb.CancelIndexJobResponse(job=job_message(self._jobs.cancel(job.id)))

    @in_thread
    def ResumeIndexJob(self, request: pb.ResumeIndexJobRequest) -> pb.ResumeIndexJobResponse:
        """Resume a cancelled or failed job."""
        job = self._job(request.id)
        return pb.ResumeIndexJobResponse(job=job_message(self._submitter.resume(job.id)))

    @in_thread
    def RetryDeadLetters(self, request: pb.RetryDeadLettersRequest) -> pb.RetryDeadLettersResponse:
        """Try a job's dead letters again."""
        job = self._job(request.job_id)
        retried = self._submitter.retry_dead_letters(job.id)
        return pb.RetryDeadLettersResponse(job=job_message(retried))

    @in_thread
    def ListDeadLetters(self, request: pb.ListDeadLettersRequest) -> pb.ListDeadLettersResponse:
        """Read a page of a job's dead letters."""
        size = _page_size(request.page_size, _LETTERS_PAGE)
        job = self._job(request.job_id)
        letters, following = self._jobs.dead_letters(job.id, size, request.page_token)
        return pb.ListDeadLettersResponse(
            dead_letters=[dead_letter_message(one) for one in letters], next_page_token=following
        )

    @in_thread
    def DeletePoints(self, request: pb.DeletePointsRequest) -> pb.DeletePointsResponse:
        """Delete points of a gallery."""
        return self._admin.delete_points(request)

    @in_thread
    def CountPoints(self, request: pb.CountPointsRequest) -> pb.CountPointsResponse:
        """Count the points of a selection."""
        return self._admin.count_points(request.selection)

    @in_thread
    def PromoteCollection(
        self, request: pb.PromoteCollectionRequest
    ) -> pb.PromoteCollectionResponse:
        """Make a collection live."""
        return self._admin.promote(request.name)

    @in_thread
    def RollbackCollection(
        self, request: pb.RollbackCollectionRequest
    ) -> pb.RollbackCollectionResponse:
        """Make the previously live collection live again."""
        return self._admin.roll_back(request.gallery, request.model, request.leaving)

    @in_thread
    def DropCollection(self, request: pb.DropCollectionRequest) -> pb.DropCollectionResponse:
        """Delete a collection."""
        return self._admin.drop(request.name, live_too=request.live_too)

    @in_thread
    def DropGallery(self, request: pb.DropGalleryRequest) -> pb.DropGalleryResponse:
        """Delete a gallery."""
        if not request.dry_run:
            self._refuse_active_jobs(check_gallery(request.gallery))
        return self._admin.drop_gallery(request.gallery, dry_run=request.dry_run)

    def _refuse_active_jobs(self, gallery: str) -> None:
        """Raise LineageError if a job of a gallery has not ended that would create it again."""
        for id_ in self._jobs.active():
            try:
                job = self._jobs.get(id_)
            except NotFoundError:  # it has expired
                continue
            # These run by themselves, too, and end when the collection is gone.
            compares = job.spec.kind in (JobKind.CHECK, JobKind.REPAIR)
            if job.spec.gallery == gallery and not job.ended and not compares:
                raise LineageError(
                    f"job {id_} of gallery {gallery!r} has not ended, and would create it again;"
                    f" cancel it first, as with `landmarks jobs {id_} --cancel`"
                )

    @in_thread
    def GetMap(self, request: pb.GetMapRequest) -> pb.GetMapResponse:
        """Read the map of a live collection."""
        gallery, model = check_gallery(request.gallery), check_model(request.model)
        lineage = self._admin.live_collection(gallery, model)
        found = self._maps.find(lineage.name)
        if found is None:
            raise NotFoundError(
                f"{lineage.name} has no map; draw one with"
                f" `landmarks map {model} --gallery {gallery}`"
            )
        return map_message(found)

    async def WatchIndexJob(
        self,
        request: pb.WatchIndexJobRequest,
        context: grpc.aio.ServicerContext[pb.WatchIndexJobRequest, pb.WatchIndexJobResponse],
    ) -> AsyncIterator[pb.WatchIndexJobResponse]:
        """Send the job now, after each change, and once more when it has ended."""
        del context
        sent: Job | None = None
        with self._changes.watch(request.id) as changed:
            while True:
                changed.clear()  # before reading, so that no change is missed
                job = await asyncio.to_thread(self._job, request.id)
                if job != sent:
                    yield pb.WatchIndexJobResponse(job=job_message(job))
                    sent = job
                if job.ended:
                    return
                await asyncio.sleep(_DEBOUNCE_SECONDS)
                try:
                    async with asyncio.timeout(_POLL_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    pass

    async def ListCollections(
        self,
        request: pb.ListCollectionsRequest,
        context: grpc.aio.ServicerContext[pb.ListCollectionsRequest, pb.ListCollectionsResponse],
    ) -> pb.ListCollectionsResponse:
        """List the collections."""
        del context
        gallery = check_gallery(request.gallery) if request.gallery else None
        caller = present_caller()
        if gallery is not None:
            caller.check_gallery(gallery)
        states = [
            one
            for one in await self._collections.states(gallery)
            if caller.may_use(one.lineage.gallery)
        ]
        try:
            names = [one.lineage.name for one in states]
            mapped = await asyncio.to_thread(self._maps.mapped, names)
            checks = await asyncio.to_thread(self._checks.all)
        except UnavailableError as error:  # the collections are worth listing without it
            _log.warning("cannot read what Redis has of collections", reason=str(error))
            mapped, checks = set(), {}
        return pb.ListCollectionsResponse(
            collections=[
                collection_message(
                    one,
                    self._recall.of(one.lineage.name),
                    checks.get(one.lineage.name),
                    mapped=one.lineage.name in mapped,
                )
                for one in states
            ]
        )


def _page_size(size: int, default: int) -> int:
    if not 0 <= size <= _MAX_PAGE:
        raise InvalidInputError(
            f"the page size is {size}; it must be 1 to {_MAX_PAGE}, or 0 for {default}",
            field="page_size",
        )
    return size or default
