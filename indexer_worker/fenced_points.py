"""A worker's writes to points: claimed first, then allowed by Redis, then made.

See `landmarks.vector_store.fenced_writes` for why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID

from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from landmarks.errors import UnavailableError
from landmarks.vector_store.marks import Claim, Mark, Seen
from landmarks.vector_store.points import Point, Scalar


class FencedPoints:
    """Changes the points of one collection, as they were seen, under one lease."""

    def __init__(self, context: WorkerContext, held: HeldLease, collection: str) -> None:
        self._context = context
        self._held = held
        self._collection = collection

    def without_damage(self, seen: Mapping[UUID, Seen]) -> dict[UUID, Seen]:
        """Replace points whose payload cannot be read by marks that can be; return those marks."""
        damaged = [
            one for one, state in seen.items() if state.mark == Mark.DAMAGED and not state.newest
        ]
        if not damaged:
            return {}
        generation = self._context.jobs.next_generation()
        self._context.writes.give_up_payloads(self._collection, generation, damaged)
        return self._context.writes.seen(self._collection, damaged)

    def await_others(self, seen: Mapping[UUID, Seen]) -> None:
        """Raise UnavailableError if other work that still runs is about to write these points."""
        own = self._held.lease.holder
        for holder in {one.claim.holder for one in seen.values() if one.claim} - {own}:
            if self._context.jobs.holds(holder):
                raise UnavailableError(
                    f"job {holder.partition('|')[0]} writes the same photos; waiting for it"
                )

    def store(
        self,
        seen: Mapping[UUID, Seen],
        points: Sequence[Point],
        payloads: Mapping[UUID, Mapping[str, Scalar]],
    ) -> None:
        """Store points, and other payloads of points whose vectors stay.

        Raises LeaseLostError; UnavailableError if somebody else changed one of them since it was
        seen, so that it must be looked at again.
        """
        planned = {**{point.id: point.payload for point in points}, **payloads}
        if not planned:
            return
        writes = self._context.writes
        claim = self._claimed({one: seen[one] for one in planned if one in seen}, planned)
        writes.write(self._collection, claim, points, payloads)
        if writes.refused(self._collection, claim, list(planned)):
            raise _changed(self._collection)

    def let_be(self, seen: Mapping[UUID, Seen], ids: Iterable[UUID]) -> None:
        """Make sure that nobody who began earlier writes these points any more."""
        claims = {one: claim for one in ids if one in seen and (claim := seen[one].claim)}
        self._context.writes.release(self._collection, claims)

    def delete(self, seen: Mapping[UUID, Seen], allow: Callable[[], bool]) -> bool:
        """Delete photos if that is still allowed once they are claimed; return whether it was.

        Raises as `store`.
        """
        photos = {one: state for one, state in seen.items() if not state.mark}
        if not photos:
            return True
        claim = self._claimed(photos, {})
        if not allow():
            self._context.writes.release(self._collection, dict.fromkeys(photos, claim))
            return False
        self._context.writes.delete_claimed(self._collection, claim, list(photos))
        return True

    def _claimed(
        self, seen: Mapping[UUID, Seen], planned: Mapping[UUID, Mapping[str, Scalar]]
    ) -> Claim:
        """Claim points that were seen, and those planned that were not."""
        newest = max((one.newest for one in seen.values()), default=0)
        generation = self._context.jobs.next_generation(newest)
        claim = Claim(generation, self._held.lease.holder)
        if lost := self._context.writes.claim(self._collection, claim, seen, planned):
            claims = dict.fromkeys({**seen, **planned}.keys() - lost, claim)
            self._context.writes.release(self._collection, claims)
            raise _changed(self._collection)
        self._context.retry.call(self._held.confirm)
        return claim


def _changed(collection: str) -> UnavailableError:
    return UnavailableError(f"other work changed points of {collection} meanwhile; trying again")
