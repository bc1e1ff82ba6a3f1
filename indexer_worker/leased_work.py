"""A piece of a job's work under its lease: begun once, and given back if it cannot end now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from indexer_worker import metrics
from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.retry import TRANSIENT_ERRORS, once
from indexer_worker.shown_wait import PREFIX, ShownWait, shown_wait
from indexer_worker.targets import opened
from landmarks.errors import (
    DamagedError,
    DeadlineError,
    LandmarksError,
    LineageError,
    NotFoundError,
)
from landmarks.job_store.records import ChunkOutcome, Job, ModelProgress
from landmarks.job_store.store import LeaseLostError
from landmarks.job_store.task_messages import LISTING
from landmarks.observability.metrics import failed

_log = structlog.get_logger(__name__)


class CollectionDroppedError(Exception):
    """The collection that a job writes to no longer exists."""


@dataclass(frozen=True)
class Attempt:
    """An attempt at a piece of one model's work."""

    context: WorkerContext
    job: Job
    progress: ModelProgress
    held: HeldLease
    wait: ShownWait

    def end(self, outcome: ChunkOutcome) -> None:
        """Count the outcome, once, and enqueue what is due after it; raises LeaseLostError."""
        context, lease, model = self.context, self.held.lease, self.progress.model
        self.held.check()
        self.wait.clear(self.job.outcome)
        due = context.jobs.end_chunk(lease, model, outcome)
        metrics.chunk_ended(model, outcome)
        if due:
            context.send_work(lease.job_id, due)


@contextmanager
def leased(context: WorkerContext, job_id: str, field: str) -> Iterator[HeldLease | None]:
    """Hold the lease of a piece of work; None if it is done, or another worker holds it.

    No error of the block passes: the work is postponed, or the job fails.
    """
    with context.leases.hold(job_id, field) as held:
        if held is None:
            yield None
            return
        try:
            yield held
        except LeaseLostError:
            _log.warning(
                "work given up: the job ended or another worker has it", job=job_id, work=field
            )
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            failed(error)
            _postpone_or_fail(context, held, error)


@contextmanager
def leased_attempt(
    context: WorkerContext, job_id: str, model: str, what: str
) -> Iterator[Attempt | None]:
    """Hold the lease of `<model>/<what>`, as `leased` does, and count an attempt at it."""
    attempt: Attempt | None = None
    with leased(context, job_id, f"{model}/{what}") as held:
        if held is not None:
            # Work that began before and never ended may have killed its worker. Alone in the
            # process, it takes no other work down, and makes none suspect.
            with (
                context.process_lock.hold(exclusive=held.lease.attempts > 1),
                shown_wait(context.jobs, job_id) as wait,
            ):
                attempt = _begin(context, held, model, wait)
                with _dropped_collection_found(attempt):
                    yield attempt
    if attempt is None:
        yield None


def _begin(context: WorkerContext, held: HeldLease, model: str, wait: ShownWait) -> Attempt:
    context.jobs.attempt(held.lease)  # not before: it may have waited to be alone
    job = context.jobs.get(held.lease.job_id)
    progress = next(one for one in job.progress if one.model == model)
    progress = opened(context, job, progress)
    return Attempt(context, job, progress, held, wait)


@contextmanager
def _dropped_collection_found(attempt: Attempt) -> Iterator[None]:
    """Raise CollectionDroppedError for a NotFoundError whose reason is the collection."""
    try:
        yield
    except NotFoundError as error:
        # A point that was deleted meanwhile is found missing by the next attempt.
        context, collection = attempt.context, attempt.progress.collection
        if context.collections.exists(collection):
            raise
        raise CollectionDroppedError(
            f"the collection {collection} was dropped while the job wrote to it; index again to"
            " rebuild it"
        ) from error


def _postpone_or_fail(context: WorkerContext, held: HeldLease, error: Exception) -> None:
    field, attempts = held.lease.field, held.lease.attempts
    if isinstance(error, TRANSIENT_ERRORS):
        # The photos of a chunk may be why the encoder took too long.
        blameless = field == LISTING or not isinstance(error, DeadlineError)
        _postpone(context, held, error, blameless=blameless)
    elif isinstance(error, (LineageError, CollectionDroppedError, DamagedError)):
        # No later attempt can succeed: the collection, or its encoder, is gone or damaged.
        _fail(context, held, error)
    elif _is_chunk(field):  # which ends with dead letters
        _postpone(context, held, error, blameless=False)
    elif isinstance(error, LandmarksError) or attempts >= context.settings.chunk_max_attempts:
        _fail(context, held, error)
    else:
        _postpone(context, held, error, blameless=False)


def _is_chunk(field: str) -> bool:
    return field.rpartition("/")[2].isdigit()


def _fail(context: WorkerContext, held: HeldLease, error: Exception) -> None:
    known = isinstance(error, (LandmarksError, CollectionDroppedError))
    reason = (
        str(error)
        if known
        else f"an unexpected {type(error).__name__}, see the worker's log: {error}"
    )
    lease = held.lease
    _log.warning(
        "job failed",
        job=lease.job_id,
        work=lease.field,
        reason=reason,
        exc_info=None if known else error,
    )
    context.jobs.fail(lease.job_id, reason)


def _postpone(
    context: WorkerContext, held: HeldLease, error: Exception, *, blameless: bool
) -> None:
    lease = held.lease
    _log.warning(
        "work postponed",
        job=lease.job_id,
        work=lease.field,
        attempts=lease.attempts,
        reason=f"{type(error).__name__}: {error}",
        exc_info=None if isinstance(error, TRANSIENT_ERRORS) else error,
    )
    if isinstance(error, TRANSIENT_ERRORS):
        with suppress(LandmarksError):
            once(context.jobs).set_outcome(lease.job_id, f"{PREFIX}{error}")
    context.leases.release(held)
    pause = context.settings.sweep_seconds
    context.jobs.postpone(lease, pause, blameless=blameless)
