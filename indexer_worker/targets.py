"""Each model's encoder and collection, where a job's vectors are made and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from indexer_worker.context import WorkerContext
from indexer_worker.retry import once
from landmarks.errors import UnavailableError
from landmarks.job_store.records import Job, ModelProgress
from landmarks.job_store.store import CollectionTarget

_log = structlog.get_logger(__name__)


class _EncoderAwayError(UnavailableError):
    """No encoder of a model can be reached, or it is not ready."""


def open_targets(context: WorkerContext, job: Job) -> Sequence[CollectionTarget]:
    """Find each model's encoder and its collection; create the collection if it does not exist.

    A model whose encoder is away does not keep the others waiting: its pieces of work open its
    target when they begin. Raises UnavailableError if all are away.
    """
    targets: list[CollectionTarget] = []
    away: list[_EncoderAwayError] = []
    for progress in job.progress:
        try:
            targets.append(_open(context, job, progress))
        except _EncoderAwayError as error:
            away.append(error)
    if not targets:
        raise away[0]
    for reason in map(str, away):
        _log.warning("a model's work waits for its encoder", job=job.id, reason=reason)
    return targets


def opened(context: WorkerContext, job: Job, progress: ModelProgress) -> ModelProgress:
    """Return a model's progress with its encoder and collection, found now if not before.

    Raises UnavailableError if its encoder is away.
    """
    if progress.digest:
        return progress
    target = _open(context, job, progress)
    for one in once(context.collections).live_of(job.spec.gallery):
        if target.collection and one != target.collection:
            once(context.collections).index_alike(target.collection, one)
    context.jobs.set_targets(job.id, job.source_name, [target])
    return replace(progress, collection=target.collection, digest=target.digest)


def _open(context: WorkerContext, job: Job, progress: ModelProgress) -> CollectionTarget:
    collections, model, gallery = once(context.collections), progress.model, job.spec.gallery
    live = collections.find_live(gallery, model)
    # A job keeps its first encoder: that of the live collection. Another may run beside it, for a
    # collection that is being rebuilt.
    digest = progress.digest or (live.digest if live else "")
    try:
        served = once(context.encoders).find(model, digest or None)
        digest, dimension = served.digest, served.dimension
    except UnavailableError as error:
        if live is None:
            raise _EncoderAwayError(str(error)) from error
        dimension = live.dimension
    if job.spec.dry_run and live is None:
        return CollectionTarget(model, digest, "")
    lineage = collections.to_write(gallery, model, digest, dimension)
    return CollectionTarget(model, digest, lineage.name)
