"""Running a job: under its lease, by the function of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from indexer_worker.calibration import calibrate_gallery
from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.listing import list_source
from indexer_worker.projection import draw_map
from indexer_worker.reindexing import list_live
from indexer_worker.retry import PASSING
from landmarks.errors import InvalidInputError, LandmarksError
from landmarks.job_store.records import Job
from landmarks.job_store.spec import Kind
from landmarks.job_store.store import LeaseLostError
from landmarks.job_store.task_messages import LISTING
from landmarks.observability.metrics import failed

_log = structlog.get_logger(__name__)

_RUN: Mapping[Kind, Callable[[WorkerContext, Job, HeldLease], None]] = {
    Kind.INDEX: list_source,
    Kind.REINDEX: list_live,
    Kind.CALIBRATE: calibrate_gallery,
    Kind.MAP: draw_map,
}

# More than a chunk's attempts: a listing is long, and continues where a stopped worker left it.
_MOST_BEGINNINGS = 10


def run_job(context: WorkerContext, job_id: str) -> None:
    """Run a job, unless another worker does or it is done."""
    with context.leases.hold(job_id, LISTING) as held:
        if held is None:
            return
        try:
            _begin(context, held)
            job = context.jobs.get(job_id)
            _RUN[job.spec.kind](context, job, held)
        except LeaseLostError:
            _log.warning("listing given up: the job ended or another worker lists it", job=job_id)
        except PASSING as error:
            failed(error)
            _log.warning("listing postponed", job=job_id, reason=str(error))
            context.leases.release(held)
            context.jobs.postpone(held.lease, context.settings.sweep_seconds, blameless=True)
        except LandmarksError as error:
            failed(error)
            _log.warning("job failed", job=job_id, reason=str(error))
            context.jobs.fail(job_id, str(error))
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            failed(error)
            _log.exception("listing failed", job=job_id)
            if held.lease.attempts < context.settings.chunk_max_attempts:
                context.leases.release(held)
                context.jobs.postpone(held.lease, context.settings.sweep_seconds, blameless=False)
            else:
                kind = type(error).__name__
                context.jobs.fail(job_id, f"listing the source failed: {kind}: {error}")


def _begin(context: WorkerContext, held: HeldLease) -> None:
    begun_before = held.lease.attempts - 1
    if begun_before >= _MOST_BEGINNINGS:
        raise InvalidInputError(
            f"given up: it was begun {begun_before} times and never ended, as if it took its"
            " workers down"
        )
    context.jobs.attempt(held.lease)
