"""Deleting the points of photos that are gone from their source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from indexer_worker.context import WorkerContext
from indexer_worker.fenced_points import FencedPoints
from indexer_worker.leased_work import Attempt, leased_attempt
from landmarks.batched import batched
from landmarks.errors import UnavailableError
from landmarks.job_store.records import ChunkOutcome, Job, NotPruned
from landmarks.job_store.task_messages import PRUNING
from landmarks.vector_store.filters import AnyOf, Equals, Filter
from landmarks.vector_store.points import point_id
from landmarks.vector_store.queries import StoredPoint

_AT_ONCE = 1000
# Seconds to wait for the last photos, before a thread has better to do.
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)


def run_pruning(context: WorkerContext, job_id: str, model: str) -> None:
    """Delete one model's points of the job's source and splits that the job did not list.

    The listing has ended by then; the job's chunks hold what it found.
    """
    with leased_attempt(context, job_id, model, PRUNING) as attempt:
        if attempt is not None:
            attempt.end(_prune(attempt))


def _prune(attempt: Attempt) -> ChunkOutcome:
    context, job, collection = attempt.context, attempt.job, attempt.progress.collection
    fenced = FencedPoints(context, attempt.held, collection)
    pruned = 0
    _await_photos(attempt)
    problem = _problem(context, job)
    if collection and not job.spec.dry_run:
        context.unacknowledged.end_all(collection, attempt.held.lease.holder)
    if collection and not problem:  # a dry run may have no collection
        for gone in batched(points_gone(context, job, collection), _AT_ONCE):
            attempt.held.check()
            if not job.spec.dry_run:
                known = {point.id: point.generation for point in gone}
                seen = context.writes.seen(collection, list(known))
                same = {
                    one: state
                    for one, state in seen.items()
                    if not state.mark and state.generation == known[one]
                }
                fenced.await_others(same)
                # A job that lists the photos from now on finds them claimed.
                if not fenced.delete(same, lambda: not context.jobs.listed_since(job)):
                    problem = _problem(context, job)
                    break
                pruned += len(same)
            else:
                pruned += len(gone)
    if problem:
        what = "nothing was pruned" if not pruned else "not all that is gone was pruned"
        reason = f"{what}: {problem}; index again with --prune"
        context.jobs.set_not_pruned(job.id, NotPruned(reason))
    return ChunkOutcome(stored=0, unchanged=0, duplicate=0, dead=(), encoded=0, pruned=pruned)


def _await_photos(attempt: Attempt) -> None:
    """Wait until the model's photos are done; raises UnavailableError if that takes long.

    One that has moved takes its vector, and what was said of it, from the point that is pruned.
    """
    context, model = attempt.context, attempt.progress.model
    for pause in _PAUSES:
        ours = (one.partition("/") for one in context.jobs.open_work(attempt.job.id))
        if not any(of == model and what.isdigit() for of, _, what in ours):
            return
        attempt.held.check()
        context.stopping.wait(pause)
    raise UnavailableError("what is gone is pruned once the photos that are there are indexed")


def _problem(context: WorkerContext, job: Job) -> str:
    """Return why the job's listing does not show what is gone; "" if it does."""
    if not job.listing:
        return "an earlier release listed the source"
    if context.jobs.listed_since(job):
        return "another job has listed the source since, and may have found more photos"
    return ""


def chosen_points(job: Job) -> Filter:
    """Return the condition that points of the job's source and splits pass."""
    splits = (AnyOf("split", job.spec.splits),) if job.spec.splits else ()
    return Filter(must=(Equals("source", job.source_name), *splits))


def points_gone(context: WorkerContext, job: Job, collection: str) -> Iterator[StoredPoint]:
    """Yield the points whose photos were not listed, but none that was written since."""
    gallery, source = job.spec.gallery, job.source_name
    # By id, sixteen bytes a photo, so that millions fit in memory.
    listed: set[bytes] = set()
    unknown: set[str] = set()  # an entry with a problem may be a folder
    for chunk in context.jobs.chunks(job.id):
        listed.update(point_id(gallery, source, one.entry.path).bytes for one in chunk)
        unknown.update(one.entry.path for one in chunk if one.entry.problem)
    fields = ["path", "job_id"]
    found = context.points.scan(collection, chosen_points(job), fields=fields)
    for point in found:
        path = PurePosixPath(str(point.payload.get("path", "")))
        # A job that began earlier may write photos that it knows of, and this one does not.
        newer = point.generation > job.listing and point.payload.get("job_id") != job.id
        if (
            point.id.bytes not in listed
            and unknown.isdisjoint(map(str, path.parents))
            and not newer
        ):
            yield point
