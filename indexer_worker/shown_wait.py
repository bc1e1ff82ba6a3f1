"""What a job waits for, shown in the job while calls of its work are retried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from indexer_worker.retry import on_long_wait, once
from landmarks.errors import LandmarksError
from landmarks.job_store.store import JobStore

PREFIX = "waiting: "


class ShownWait:
    """The wait of a piece of a job's work."""

    def __init__(self, jobs: JobStore, job_id: str) -> None:
        self._jobs = once(jobs)  # it may be Redis that is waited for
        self._job_id = job_id
        self._shown = False

    def show(self, reason: str) -> None:
        """Show what is waited for."""
        self._shown = True
        with suppress(LandmarksError):
            self._jobs.set_outcome(self._job_id, PREFIX + reason)

    def clear(self, outcome_before: str) -> None:
        """Show it no more, if it was shown: by this work, or before it."""
        if self._shown or outcome_before.startswith(PREFIX):
            with suppress(LandmarksError):
                self._jobs.set_outcome(self._job_id, "")
            self._shown = False


@contextmanager
def shown_wait(jobs: JobStore, job_id: str) -> Iterator[ShownWait]:
    """Show in a job what calls made in the block wait for, if they wait long."""
    wait = ShownWait(jobs, job_id)
    token = on_long_wait.set(wait.show)
    try:
        yield wait
    finally:
        on_long_wait.reset(token)
