"""Renewing the leases of running work, so that no other worker begins it.

All times are by a clock of this machine that goes on while the process is stopped, and that nobody
sets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from landmarks.errors import UnavailableError
from landmarks.job_store.records import Lease, LeaseState
from landmarks.job_store.store import JobStore, LeaseLostError

_log = structlog.get_logger(__name__)


def seconds_now() -> float:
    """Return the time since some moment, sleep of the machine included where that is known."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class HeldLease:
    """A lease that this process renews while its work runs."""

    def __init__(self, lease: Lease, jobs: JobStore, seconds: float) -> None:
        self.lease = lease
        self._jobs = jobs
        self._seconds = seconds
        self._renewed = seconds_now()
        self._lost = threading.Event()

    def renew(self) -> bool:
        """Renew the lease; return False if it was lost. Raises UnavailableError."""
        asked = seconds_now()
        if self._jobs.renew(self.lease, self._seconds):
            self._renewed = asked
        else:
            self._lost.set()
        return not self._lost.is_set()

    def check(self) -> None:
        """Raise LeaseLostError if the lease is known to be lost; called now and then.

        One that was not renewed for as long as it lasts, as this process was stopped, is looked up.
        """
        if not self._lost.is_set() and seconds_now() - self._renewed >= self._seconds:
            try:
                self.renew()
            except UnavailableError as error:
                # Nobody else can take the lease from Redis either.
                _log.warning("lease not renewed", reason=str(error))
        if self._lost.is_set():
            raise LeaseLostError

    def confirm(self) -> None:
        """Raise LeaseLostError unless Redis says that the lease is held; before each write.

        Raises UnavailableError if Redis cannot say it now.
        """
        if self._lost.is_set() or not self.renew():
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
        held = HeldLease(lease, self._jobs, self._seconds)
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
                if not one.renew():
                    with self._lock:
                        still_held = one in self._held
                    if still_held:
                        _log.warning("lease lost", job=one.lease.job_id, work=one.lease.field)
            except UnavailableError as error:
                # Nobody else can take the lease from Redis either. Once Redis is back, the fencing
                # token decides whether results still count.
                _log.warning("lease not renewed", reason=str(error))
                return


class LeaseWatch:
    """Notices leases that nobody renews any more, from what Redis says of them now and then.

    The clock of Redis may have been set, so what it says must agree with what was seen: a lease is
    renewed several times in half of its time. Where it does not, as it was set back, this process's
    own clock decides.
    """

    def __init__(self) -> None:
        self._seen: dict[LeaseState, float] = {}

    def expired(self, held: Sequence[LeaseState], now: float) -> list[LeaseState]:
        """Return the leases that have expired; `held` is from `JobStore.held`, at `seconds_now`."""
        before = {(one.name, one.value): since for one, since in self._seen.items()}
        self._seen = {one: before.get((one.name, one.value), now) for one in held}
        return [
            one
            for one, since in self._seen.items()
            if now - since >= (one.seconds / 2 if one.overdue else one.seconds)
        ]
