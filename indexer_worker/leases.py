"""Renewing the leases of running work, so that no other worker begins it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from landmarks.errors import UnavailableError
from landmarks.job_store.records import Lease
from landmarks.job_store.store import JobStore, LeaseLostError

_log = structlog.get_logger(__name__)


class HeldLease:
    """A lease that this process renews while its work runs."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self._lost = threading.Event()

    def lose(self) -> None:
        """Note that another worker may hold the lease now."""
        self._lost.set()

    def check(self) -> None:
        """Raise LeaseLostError if the lease was lost; called before each write."""
        if self._lost.is_set():
            raise LeaseLostError


class LeaseKeeper:
    """Renews all leases that this process holds; `renew_all` runs several times per lease."""

    def __init__(self, jobs: JobStore, lease_seconds: float) -> None:
        self._jobs = jobs
        self._seconds = lease_seconds
        self._lock = threading.Lock()
        self._held: set[HeldLease] = set()

    @contextmanager
    def hold(self, job_id: str, field: str) -> Iterator[HeldLease | None]:
        """Take a lease and renew it; None if the work is done or another worker holds it."""
        lease = self._jobs.begin(job_id, field, self._seconds)
        if lease is None:
            yield None
            return
        held = HeldLease(lease)
        with self._lock:
            self._held.add(held)
        try:
            yield held
        finally:
            self.release(held)

    def release(self, held: HeldLease) -> None:
        """Stop renewing a lease."""
        with self._lock:
            self._held.discard(held)

    def renew_all(self) -> None:
        """Renew every lease, and mark those that were lost."""
        with self._lock:
            held = tuple(self._held)
        for one in held:
            try:
                if not self._jobs.renew(one.lease, self._seconds):
                    with self._lock:
                        still_held = one in self._held
                    if still_held:
                        _log.warning("lease lost", job=one.lease.job_id, work=one.lease.field)
                    one.lose()
            except UnavailableError as error:
                # Nobody else can take the lease from Redis either. Once Redis is back, the fencing
                # token decides whether results still count.
                _log.warning("lease not renewed", reason=str(error))
                return
