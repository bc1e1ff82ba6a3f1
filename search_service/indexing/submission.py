"""Submits jobs: checks a request, records the job and enqueues it. Blocks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial

import structlog

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.errors import InvalidInputError, NotFoundError, UnavailableError
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.records import Job
from landmarks.job_store.source_names import SourceNames
from landmarks.job_store.spec import (
    IndexSpec,
    JobKind,
    ReindexOptions,
    checked_spec,
)
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import job_message
from landmarks.naming import check_gallery, check_model
from landmarks.photos.sources import Sources
from landmarks.vector_store.cluster import Cluster
from search_service.indexing.collection_admin import CollectionAdmin

_log = structlog.get_logger(__name__)


class JobSubmitter:
    """Starts and resumes jobs, after the checks that are quick."""

    def __init__(
        self,
        jobs: JobStore,
        source_names: SourceNames,
        redis_url: str,
        models: Collection[str],
        sources: Sources,
        admin: CollectionAdmin,
        cluster: Cluster,
    ) -> None:
        self._jobs = jobs
        self._source_names = source_names
        self._models = tuple(models)
        self._sources = sources
        self._admin = admin
        self._cluster = cluster
        self._sender = TaskSender(celery_app(redis_url), retries=2)

    def close(self) -> None:
        """Close the connections to the broker."""
        self._sender.close()
        self._cluster.close()
        self._source_names.close()

    def index(self, spec: IndexSpec, request_id: str) -> Job:
        """Start indexing a source."""
        spec = checked_spec(spec, self._models)

        def check() -> None:
            try:
                source = self._sources.open(spec.source, spec.splits, spec.rules)
                source.check()
            except NotFoundError as error:
                raise InvalidInputError(str(error), field="source") from error
            stored_uri = partial(self._admin.uri_of_source, spec.gallery)
            with suppress(UnavailableError):  # the worker checks it again, and waits
                self._source_names.choose(
                    spec, source.name, source.identity, stored_uri, self._sources.is_there
                )

        return self._start(spec, request_id, check)

    def reindex(self, request: pb.ReindexCollectionRequest) -> Job:
        """Start rebuilding a collection."""
        reindexing = request.reindexing
        if not 0 <= reindexing.margin <= 1:
            raise InvalidInputError(
                f"the margin is {reindexing.margin:g}; as a difference of mAP it must be 0 to 1",
                field="reindexing.margin",
            )

        def check() -> None:
            self._admin.live_collection(request.gallery, request.model)
            if reindexing.queries:
                try:
                    self._sources.open(reindexing.queries, reindexing.splits).check()
                except (NotFoundError, InvalidInputError) as error:
                    raise InvalidInputError(str(error), field="reindexing.queries") from error

        spec = IndexSpec(
            check_gallery(request.gallery),
            source="",
            models=(check_model(request.model),),
            reindex=ReindexOptions(reindexing.queries, tuple(reindexing.splits), reindexing.margin),
            kind=JobKind.REINDEX,
        )
        return self._start(spec, request.request_id, check)

    def calibrate(self, request: pb.CalibrateGalleryRequest) -> Job:
        """Start calibrating a gallery."""
        gallery = check_gallery(request.gallery)
        models = self._indexed_models(gallery, [check_model(model) for model in request.models])
        spec = IndexSpec(
            gallery,
            source=request.unknowns,
            models=models,
            splits=tuple(dict.fromkeys(request.splits)),
            kind=JobKind.CALIBRATE,
        )

        def check() -> None:
            if spec.source:
                try:
                    self._sources.open(spec.source, spec.splits).check()
                except (NotFoundError, InvalidInputError) as error:
                    raise InvalidInputError(str(error), field="unknowns") from error

        return self._start(spec, request.request_id, check)

    def draw_map(self, request: pb.DrawMapRequest) -> Job:
        """Start drawing the map of a collection."""
        gallery, model = check_gallery(request.gallery), check_model(request.model)
        spec = IndexSpec(gallery, source="", models=(model,), kind=JobKind.MAP)
        return self._start(
            spec, request.request_id, lambda: self._admin.live_collection(gallery, model)
        )

    def check_copies(self, request: pb.CheckCopiesRequest) -> Job:
        """Start comparing the copies of a collection, or repairing them."""
        if request.delete_unclear and not request.repair:
            raise InvalidInputError(
                "`delete_unclear` is for a repair; set `repair` too", field="delete_unclear"
            )
        lineage = self._admin.collection(request.name)
        spec = IndexSpec(
            lineage.gallery,
            source=lineage.name,
            models=(lineage.model,),
            kind=JobKind.REPAIR if request.repair else JobKind.CHECK,
            delete_unclear=request.delete_unclear,
        )
        return self._start(spec, request.request_id, lambda: self._cluster.nodes_of(lineage.name))

    def resume(self, job_id: str) -> Job:
        """Resume a cancelled or failed job."""
        return self._continue(self._jobs.resume(job_id))

    def retry_dead_letters(self, job_id: str) -> Job:
        """Try a job's dead letters again."""
        return self._continue(self._jobs.retry_dead_letters(job_id))

    def _indexed_models(self, gallery: str, models: Sequence[str]) -> tuple[str, ...]:
        """Return the requested models, or all that the gallery is indexed with, sorted."""
        live = self._admin.live_models(gallery)
        for model in models:
            if model not in live:
                self._admin.live_collection(gallery, model)  # raises the NotFoundError
        return tuple(sorted(set(models) or live))

    def _start(self, spec: IndexSpec, request_id: str, check: Callable[[], object]) -> Job:
        """Record and enqueue a job that passes `check`; a repeated request returns the same job."""
        earlier = self._jobs.of_request(request_id, spec)
        if earlier is not None:
            return earlier
        check()
        job = self._jobs.create(spec, request_id)
        self._enqueue(job.id)
        return job

    def _continue(self, changed: tuple[Job, bool]) -> Job:
        job, has_work = changed
        if has_work:
            self._enqueue(job.id, resume=True)
        return job

    def _enqueue(self, job_id: str, *, resume: bool = False) -> None:
        try:
            self._sender.send(job_message(job_id, resume=resume))
        except UnavailableError as error:
            # The job is recorded; a worker's sweep will enqueue it.
            _log.warning("job recorded but not enqueued yet", job=job_id, reason=str(error))
