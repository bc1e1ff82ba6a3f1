"""Deleting the points of photos that are gone from their source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePosixPath
from uuid import UUID

from indexer_worker.context import WorkerContext
from indexer_worker.leased_work import Attempt, leased_attempt
from landmarks.batched import batched
from landmarks.job_store.records import ChunkOutcome, Job
from landmarks.job_store.task_messages import PRUNING
from landmarks.vector_store.filters import AnyOf, Equals, Filter
from landmarks.vector_store.points import point_id

_AT_ONCE = 1000


def run_pruning(context: WorkerContext, job_id: str, model: str) -> None:
    """Delete one model's points of the job's source and splits that the job did not list.

    The listing has ended by then; the job's chunks hold what it found.
    """
    with leased_attempt(context, job_id, model, PRUNING) as attempt:
        if attempt is not None:
            attempt.end(_prune(attempt))


def _prune(attempt: Attempt) -> ChunkOutcome:
    context, job, collection = attempt.context, attempt.job, attempt.progress.collection
    pruned = 0
    if collection:  # a dry run may have no collection
        for gone in batched(points_gone(context, job, collection), _AT_ONCE):
            attempt.held.check()
            if not job.spec.dry_run:
                context.points.delete(collection, gone)
            pruned += len(gone)
    return ChunkOutcome(stored=0, unchanged=0, duplicate=0, dead=(), encoded=0, pruned=pruned)


def chosen_points(job: Job) -> Filter:
    """Return the condition that points of the job's source and splits pass."""
    splits = (AnyOf("split", job.spec.splits),) if job.spec.splits else ()
    return Filter(must=(Equals("source", job.source_name), *splits))


def points_gone(context: WorkerContext, job: Job, collection: str) -> Iterator[UUID]:
    """Yield the ids of points whose photos were not listed."""
    gallery, source = job.spec.gallery, job.source_name
    # By id, sixteen bytes a photo, so that millions fit in memory.
    listed: set[bytes] = set()
    unknown: set[str] = set()  # an entry with a problem may be a folder
    for chunk in context.jobs.chunks(job.id):
        listed.update(point_id(gallery, source, one.entry.path).bytes for one in chunk)
        unknown.update(one.entry.path for one in chunk if one.entry.problem)
    fields = ["path", "job_id", "indexed_at"]
    found = context.points.scan(collection, chosen_points(job), fields=fields)
    for point in found:
        path = PurePosixPath(str(point.payload.get("path", "")))
        if (
            point.id.bytes not in listed
            and unknown.isdisjoint(map(str, path.parents))
            and not _is_newer(point.payload, job)
        ):
            yield point.id


def _is_newer(payload: Mapping[str, object], job: Job) -> bool:
    """Return whether a later job stored a point; it may know of photos that this job missed."""
    if payload.get("job_id") == job.id:
        return False
    try:
        return datetime.fromisoformat(str(payload.get("indexed_at"))) >= job.created
    except ValueError:
        return False
