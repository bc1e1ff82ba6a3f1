"""Bringing to an end what was begun to be written and never acknowledged.

Copies of such points may differ, and a read asks one copy. So before anybody decides something by
what is stored, the copies are made equal again: a deletion is repeated, and of any other write, one
copy's version is written to all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from uuid import UUID

import structlog

from landmarks.errors import LandmarksError, NotFoundError, UnavailableError
from landmarks.job_store.open_writes import OpenWrite, OpenWrites, new_name
from landmarks.job_store.store import JobStore
from landmarks.vector_store.fenced_writes import FencedWrites
from landmarks.vector_store.marks import Claim, Mark
from landmarks.vector_store.point_store import PointStore

_log = structlog.get_logger(__name__)

# In place of a lease. There is no such job.
_SWEEPER = "sweeper"


class Unacknowledged:
    """Ends the writes of those who died, or gave up."""

    def __init__(
        self,
        jobs: JobStore,
        open_writes: OpenWrites,
        points: PointStore,
        writes: FencedWrites,
        lock_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._open_writes = open_writes
        self._points = points
        self._writes = writes
        self._lock_seconds = lock_seconds
        self._suspects: frozenset[OpenWrite] = frozenset()

    def end_those_of(self, collection: str, ids: Collection[UUID], holder: str) -> bool:
        """End the writes to these points; return False if there were none.

        Ask after the points were read: what is not noted then, was acknowledged before, or began
        later. Raises UnavailableError while somebody who still works is about to write them.
        """
        if not (found := _touching(self._open_writes.find(collection), ids)):
            return False
        for running in {one.holder for one in found if not one.deletes}:
            if self._jobs.holds(running):
                raise UnavailableError(
                    f"job {running.partition('|')[0]} writes the same photos; waiting for it"
                )
        self._end(collection, found, holder)
        return True

    def end_all(self, collection: str, holder: str) -> None:
        """End all writes to a collection, but those of others who still work."""
        found = _nobodys(self._open_writes.find(collection), self._jobs.holds)
        self._end(collection, found, holder)

    def sweep(self) -> None:
        """End the writes of jobs that have ended, and the deletions of people.

        Only what two sweeps in a row have found: the front door ends its deletions itself.
        """
        found = {
            write
            for collection in self._open_writes.collections()
            for write in _nobodys(self._open_writes.find(collection), self._has_job)
        }
        due = self._suspects & found
        self._suspects = frozenset(found - due)
        for collection in {write.collection for write in due}:
            try:
                with self._sweeping(collection):
                    self._end(collection, [one for one in due if one.collection == collection])
            except NotFoundError:  # the collection was dropped
                for write in self._open_writes.find(collection):
                    self._open_writes.close(write)
            except LandmarksError as error:
                _log.warning(
                    "copies may differ, as a write is not acknowledged; trying again",
                    collection=collection,
                    reason=str(error),
                )

    def _sweeping(self, collection: str) -> AbstractContextManager[None]:
        """Hold the lock that says that a sweep is at its writes, as it has no lease."""
        return self._jobs.exclusive(f"writes.{collection}", self._lock_seconds)

    def _has_job(self, holder: str) -> bool:
        """Return whether work of this lease will be done yet; it ends what it finds."""
        try:
            return not self._jobs.get(holder.partition("|")[0]).ended
        except NotFoundError:
            return False

    def _end(self, collection: str, found: Sequence[OpenWrite], holder: str = _SWEEPER) -> None:
        if holder != _SWEEPER and any(one.holder == _SWEEPER for one in found):
            with self._sweeping(collection):
                pass  # it died
        for write in found:
            if write.deletes:
                self._writes.delete(collection, write.generation, sorted(write.ids))
                self._open_writes.close(write)
        if others := [one for one in found if not one.deletes]:
            self._settle(collection, others, holder)

    def _settle(self, collection: str, writes: Sequence[OpenWrite], holder: str) -> None:
        """Make the copies of these writes' points equal, as one of them is."""
        ids = sorted({point for one in writes for point in one.ids})
        # Together: of two writes to a point, a copy may have either. Of two workers that find the
        # same writes, the second finds that the first has taken their place.
        newest = max(one.generation for one in writes)
        write = self._open_writes.begin(
            collection, holder, ids, seen=newest, instead_of=writes, name=new_name()
        )
        if write is None:
            raise UnavailableError(
                f"other work writes the same points of {collection}; waiting for it"
            )
        try:
            points = self._write_back(write, ids, newest)
        except Exception:
            with suppress(UnavailableError):
                self._open_writes.keep(write)  # another may have ended it, and this came later
            raise
        self._open_writes.close(write)
        _log.info("copies made equal", collection=collection, points=points)

    def _write_back(self, write: OpenWrite, ids: Sequence[UUID], newest: int) -> int:
        states = self._points.states(write.collection, ids)
        if damaged := [one for one, (seen, _) in states.items() if seen.mark == Mark.DAMAGED]:
            # No condition on such a payload works.
            self._writes.give_up_payloads(write.collection, write.generation, damaged)
        claim = Claim(write.generation, write.holder)
        self._writes.settle_claim(write.collection, claim, ids, newest)
        # Read once and written until it is acknowledged: another read may ask another copy.
        points = self._writes.settled(write.collection, claim, ids)
        self._writes.write_back(write.collection, claim, points)
        return len(points)


def _touching(found: Sequence[OpenWrite], ids: Collection[UUID]) -> list[OpenWrite]:
    """Return the writes to these points, to the points of these writes, and so on; deletions last.

    A deletion is of many points, and adds none.
    """
    touched = set(ids)
    chosen: list[OpenWrite] = []
    left = [one for one in found if not one.deletes]
    while more := [one for one in left if not touched.isdisjoint(one.ids)]:
        chosen += more
        left = [one for one in left if one not in more]
        touched.update(point for one in more for point in one.ids)
    return chosen + [one for one in found if one.deletes and not touched.isdisjoint(one.ids)]


def _nobodys(found: Sequence[OpenWrite], works: Callable[[str], bool]) -> list[OpenWrite]:
    """Return the deletions, and the writes that touch none whose holder still works."""
    writes = [one for one in found if not one.deletes]
    working = {holder for holder in {one.holder for one in writes} if works(holder)}
    busy = _touching(
        writes, {point for one in writes if one.holder in working for point in one.ids}
    )
    return [one for one in found if one not in busy]
