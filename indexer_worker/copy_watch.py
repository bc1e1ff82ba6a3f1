"""Notices that a node of a cluster was away, and has the copies compared once it is back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta

import structlog

from landmarks.errors import LandmarksError, NotFoundError, UnavailableError
from landmarks.job_store.copy_checks import CopyChecks
from landmarks.job_store.spec import IndexSpec, JobKind
from landmarks.job_store.store import JobStore
from landmarks.naming import parse_collection_name
from landmarks.vector_store.cluster import Cluster
from landmarks.vector_store.collections import Collections

_log = structlog.get_logger(__name__)

_LOCK = "copies"
_LOCK_SECONDS = 60.0


class CopyWatch:
    """Looks at the nodes every few seconds, in one worker at a time.

    `start` starts a job. A collection whose last check is older than `every` is checked too: marks
    of deletions are removed only once copies are known to agree.
    """

    def __init__(
        self,
        jobs: JobStore,
        checks: CopyChecks,
        collections: Collections,
        cluster: Cluster,
        start: Callable[[IndexSpec], None],
        every: timedelta,
    ) -> None:
        self._jobs = jobs
        self._checks = checks
        self._collections = collections
        self._cluster = cluster
        self._start = start
        self._every = every
        self._names: list[str] = []

    def look(self) -> None:
        """Note which collections are due for a check, and start those that can be made now."""
        with ExitStack() as held:
            try:
                held.enter_context(self._jobs.exclusive(_LOCK, _LOCK_SECONDS))
            except UnavailableError:
                return  # another worker looks
            self._look()

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()

    def _look(self) -> None:
        away, due = self._cluster.away(), self._checks.due()
        with suppress(UnavailableError):  # all nodes are away; what they had is known
            self._names = self._collections.names()
        names = self._names
        if away:
            if new := set(names) - due:
                _log.warning("a node is away; copies are compared when it is back", nodes=away)
                self._checks.make_due(new)
            return
        checked = self._checks.all()
        for gone in (due | checked.keys()) - set(names):
            self._checks.drop(gone)
        # All of them are looked at, as a copy may be away by itself.
        ready = [name for name in names if self._can_be_compared(name, due)]
        if not self._comparing():
            for name in ready:
                last = checked.get(name)
                if name in due or last is None or datetime.now(UTC) - last.began > self._every:
                    self._check(name)
                    return

    def _can_be_compared(self, name: str, due: set[str]) -> bool:
        """Say whether all copies of a collection are there; if not, it is due when they are."""
        try:
            if self._cluster.nodes_of(name):
                return True
            self._checks.drop(name)  # there is one copy
        except UnavailableError as error:
            if name not in due:
                _log.warning("copies are compared later", collection=name, reason=str(error))
                self._checks.make_due([name])
        except LandmarksError:
            pass  # dropped meanwhile, or damaged, as its status says
        return False

    def _check(self, name: str) -> None:
        parsed = parse_collection_name(name)
        if parsed is not None:
            _log.info("the copies of a collection are compared", collection=name)
            self._start(IndexSpec(parsed.gallery, name, (parsed.model,), kind=JobKind.CHECK))

    def _comparing(self) -> bool:
        """Say whether some copies are being compared: one collection at a time is enough."""
        for job_id in self._jobs.active():
            with suppress(NotFoundError):  # it has expired
                if self._jobs.get(job_id).spec.kind in (JobKind.CHECK, JobKind.REPAIR):
                    return True
        return False
