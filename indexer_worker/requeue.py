"""Re-enqueuing the work of dead workers, and work that was postponed.

Work that was begun has a lease, which is renewed or expires. Work that a worker took from its queue
and did not begin has none: it is open, nobody holds it, and its queue is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from indexer_worker.leases import LeaseWatch, seconds_now
from landmarks.errors import NotFoundError
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import INDEX_QUEUE, LISTING, encode_queue

_log = structlog.get_logger(__name__)


class Sweeper:
    """Sweeps every few seconds, in every worker; enqueuing work twice does no harm.

    `send` enqueues the work of a job's id and a field.
    """

    def __init__(self, jobs: JobStore, send: Callable[[str, str], None]) -> None:
        self._jobs = jobs
        self._send = send
        self._watch = LeaseWatch()
        self._suspects: frozenset[tuple[str, str]] = frozenset()

    def sweep(self) -> None:
        """Enqueue the work of expired leases, and work that two sweeps in a row found orphaned."""
        expired = self._watch.expired(self._jobs.held(), seconds_now())
        for job_id, field in self._jobs.take_expired(expired):
            _log.info("enqueued again: its lease expired", job=job_id, work=field)
            self._send(job_id, field)
        found = {
            (job_id, field) for job_id in self._jobs.active() for field in self._orphans(job_id)
        }
        # Once proves nothing: a worker takes a message a moment before it takes the lease.
        for job_id, field in sorted(self._suspects & found):
            _log.info("enqueued again: no worker held it", job=job_id, work=field)
            self._send(job_id, field)
        self._suspects = frozenset(found - self._suspects)

    def _orphans(self, job_id: str) -> list[str]:
        try:
            return self._jobs.unleased(job_id, self._queue_lengths(job_id))
        except NotFoundError:
            # Deleted by hand, or evicted by Redis. It must not keep the sweep from other jobs.
            _log.warning("forgotten: an active job is no longer in Redis", job=job_id)
            self._jobs.forget(job_id)
            return []

    def _queue_lengths(self, job_id: str) -> Mapping[str, int]:
        lengths = {
            model: self._jobs.queue_length(encode_queue(model))
            for model in self._jobs.get(job_id).spec.models
        }
        return {**lengths, LISTING: self._jobs.queue_length(INDEX_QUEUE)}
