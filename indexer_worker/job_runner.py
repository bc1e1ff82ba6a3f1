"""Running a job: under its lease, by the function of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from indexer_worker.calibration import calibrate_gallery
from indexer_worker.check_copies import check_copies
from indexer_worker.context import WorkerContext
from indexer_worker.draw_map import draw_map
from indexer_worker.leased_work import leased
from indexer_worker.leases import HeldLease
from indexer_worker.listing import list_source
from indexer_worker.reindexing import list_live
from landmarks.errors import InvalidInputError
from landmarks.job_store.records import Job
from landmarks.job_store.spec import JobKind
from landmarks.job_store.task_messages import LISTING

_RUN: Mapping[JobKind, Callable[[WorkerContext, Job, HeldLease], None]] = {
    JobKind.INDEX: list_source,
    JobKind.REINDEX: list_live,
    JobKind.CALIBRATE: calibrate_gallery,
    JobKind.MAP: draw_map,
    JobKind.CHECK: check_copies,
    JobKind.REPAIR: check_copies,
}

# More than a chunk's attempts: a listing is long, and continues where a stopped worker left it.
_MOST_BEGINNINGS = 10


def run_job(context: WorkerContext, job_id: str) -> None:
    """Run a job, unless another worker does or it is done."""
    with leased(context, job_id, LISTING) as held:
        if held is not None:
            _begin(context, held)
            job = context.jobs.get(job_id)
            _RUN[job.spec.kind](context, job, held)


def _begin(context: WorkerContext, held: HeldLease) -> None:
    begun_before = held.lease.attempts - 1
    if begun_before >= _MOST_BEGINNINGS:
        raise InvalidInputError(
            f"given up: it was begun {begun_before} times and never ended, as if it took its"
            " workers down"
        )
    context.jobs.attempt(held.lease)
