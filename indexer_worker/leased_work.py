"""One attempt at a piece of a job: leased, counted once, and given back where it cannot end now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from indexer_worker import metrics
from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.retry import PASSING
from landmarks.errors import DeadlineError, LandmarksError, LineageError, NotFoundError
from landmarks.job_store.records import Job, Outcome, Progress
from landmarks.job_store.store import LeaseLostError
from landmarks.observability.metrics import failed

_log = structlog.get_logger(__name__)


class CollectionDroppedError(Exception):
    """The collection that a job writes to is not there any more."""


@dataclass(frozen=True)
class Attempt:
    """What an attempt at one model's work has to hand."""

    context: WorkerContext
    job: Job
    progress: Progress
    held: HeldLease


# Does the work, and says what came of it; None where it was replaced by other work.
Do = Callable[[Attempt], Outcome | None]


def run_work(context: WorkerContext, job_id: str, model: str, what: str, do: Do) -> None:
    """Do `<model>/<what>` of a job, unless that was done or somebody else is at it."""
    with context.leases.hold(job_id, f"{model}/{what}") as held:
        if held is None:
            return
        try:
            # What was begun before and never ended may be what took its worker down. Alone, it
            # takes nobody along, and nobody else is suspected.
            with context.isolation.hold(alone=held.lease.attempts > 1):
                _attempt(context, job_id, model, held, do)
        except LeaseLostError:
            _log.warning("work given up: the job ended or another worker has it", job=job_id)
        except PASSING as error:
            _postpone(context, held, error, blameless=not isinstance(error, DeadlineError))
        except (LineageError, CollectionDroppedError) as error:
            # No later attempt can end otherwise: the collection, or its encoder, is gone.
            _fail(context, job_id, error)
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            # A chunk has dead letters to end with; other work can only fail.
            enough = held.lease.attempts >= context.settings.chunk_max_attempts
            if not what.isdigit() and (enough or isinstance(error, LandmarksError)):
                _fail(context, job_id, error)
            else:
                _postpone(context, held, error, blameless=False)


def _attempt(context: WorkerContext, job_id: str, model: str, held: HeldLease, do: Do) -> None:
    context.jobs.attempt(held.lease)  # not before: it may have waited to be alone
    job = context.jobs.get(job_id)
    progress = next(one for one in job.progress if one.model == model)
    try:
        outcome = do(Attempt(context, job, progress, held))
    except NotFoundError as error:
        # A point that was deleted meanwhile is found missing by the next attempt.
        collection = progress.collection
        if context.patience.wait_out(lambda: context.collections.exists(collection)):
            raise
        raise CollectionDroppedError(
            f"the collection {collection} was dropped while it was written to; index again to"
            " build it anew"
        ) from error
    if outcome is None:
        return
    held.check()
    due = context.patience.wait_out(lambda: context.jobs.end_chunk(held.lease, model, outcome))
    metrics.chunk_ended(model, outcome)
    if due:
        context.send_work(job_id, due)


def _fail(context: WorkerContext, job_id: str, error: Exception) -> None:
    known = isinstance(error, (LandmarksError, CollectionDroppedError))
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    failed(error)
    _log.warning("job failed", job=job_id, reason=reason, exc_info=None if known else error)
    context.jobs.fail(job_id, reason)


def _postpone(
    context: WorkerContext, held: HeldLease, error: Exception, *, blameless: bool
) -> None:
    lease = held.lease
    failed(error)
    _log.warning(
        "work postponed",
        job=lease.job_id,
        work=lease.field,
        attempts=lease.attempts,
        reason=f"{type(error).__name__}: {error}",
        exc_info=None if isinstance(error, PASSING) else error,
    )
    context.leases.release(held)
    pause = context.settings.sweep_seconds
    context.patience.wait_out(lambda: context.jobs.postpone(lease, pause, blameless=blameless))
