"""A worker's writes to points: noted, claimed, then allowed by Redis, then made.

See `landmarks.vector_store.fenced_writes` for why, and `landmarks.job_store.open_writes`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID

from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from landmarks.errors import UnavailableError
from landmarks.job_store.open_writes import new_name
from landmarks.vector_store.held_photos import HeldPhoto
from landmarks.vector_store.marks import Claim, Mark, Seen
from landmarks.vector_store.points import PayloadValue, Point


class _ChangedError(UnavailableError):
    """Somebody else changed the points, and nothing of the write is left."""


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
        with self._noted(damaged) as claim:
            self._context.writes.give_up_payloads(self._collection, claim.generation, damaged)
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
        payloads: Mapping[UUID, Mapping[str, PayloadValue]],
        kept: Mapping[UUID, HeldPhoto] | None = None,
    ) -> None:
        """Store points, other payloads of points whose vectors stay, and photos not to be shown.

        Raises LeaseLostError; UnavailableError if somebody else changed one of them since it was
        seen, so that it must be looked at again.
        """
        marks = {one: photo.mark() for one, photo in (kept or {}).items()}
        planned = {
            **{point.id: point.payload for point in points},
            **payloads,
            **{one: {} for one in marks},
        }
        if not planned:
            return
        writes = self._context.writes
        with self._claimed({one: seen[one] for one in planned if one in seen}, planned) as claim:
            writes.write(self._collection, claim, points, payloads, marks)
        if writes.refused(self._collection, claim, list(planned)):
            raise self._changed()

    def let_be(self, seen: Mapping[UUID, Seen], ids: Iterable[UUID]) -> None:
        """Make sure that nobody who began earlier writes these points any more."""
        claims = {one: claim for one in ids if one in seen and (claim := seen[one].claim)}
        if claims:
            with self._noted(claims):
                self._context.writes.release(self._collection, claims)

    def delete(self, seen: Mapping[UUID, Seen], allow: Callable[[], bool]) -> bool:
        """Delete photos if that is still allowed once they are claimed; return whether it was.

        Those of which a person has said something are kept, and no longer shown. Raises as `store`.
        """
        photos = {one: state for one, state in seen.items() if not state.mark}
        if not photos:
            return True
        with self._claimed(photos, {}) as claim:
            allowed = allow()
            if allowed:
                kept = self._said_of(photos)
                writes = self._context.writes
                writes.write(self._collection, claim, [], {}, kept)
                gone = [one for one in photos if one not in kept]
                writes.delete_claimed(self._collection, claim, gone)
            else:
                self._context.writes.release(self._collection, dict.fromkeys(photos, claim))
        return allowed

    def _said_of(self, ids: Collection[UUID]) -> dict[UUID, Mapping[str, object]]:
        """Return the marks that keep those of the photos of which something was said."""
        held = self._context.held_photos.read(self._collection, ids)
        said = [one for one, photo in held.items() if photo.shown and photo.said.at]
        whole = self._context.held_photos.read(self._collection, said, with_vectors=True)
        return {one: photo.mark() for one, photo in whole.items()}

    @contextmanager
    def _claimed(
        self, seen: Mapping[UUID, Seen], planned: Mapping[UUID, Mapping[str, PayloadValue]]
    ) -> Iterator[Claim]:
        """Claim points that were seen, and those planned that were not, for what the block does."""
        context, ids = self._context, {**seen, **planned}.keys()
        newest = max((one.newest for one in seen.values()), default=0)
        with self._noted(ids, newest) as claim:
            swept_before = claim.generation - context.settings.mark_generations
            lost = context.writes.claim(self._collection, claim, seen, planned, swept_before)
            if lost:
                context.writes.release(self._collection, dict.fromkeys(ids - lost, claim))
                raise self._changed()
            context.retry.call(self._held.confirm)
            yield claim

    @contextmanager
    def _noted(self, ids: Collection[UUID], newest: int = 0) -> Iterator[Claim]:
        """Note a write to these points until the block ends, and for longer if it fails."""
        open_writes, holder = self._context.open_writes, self._held.lease.holder
        write = open_writes.begin(self._collection, holder, ids, seen=newest, name=new_name())
        if write is None:
            raise UnavailableError(
                f"other work writes the same points of {self._collection}; waiting for it"
            )
        try:
            yield Claim(write.generation, holder)
        except _ChangedError:
            open_writes.close(write)
            raise
        except Exception:
            # If this worker was stopped for long, another has taken its note, and ended its write.
            with suppress(UnavailableError):
                open_writes.keep(write)
            raise
        open_writes.close(write)

    def _changed(self) -> _ChangedError:
        return _ChangedError(
            f"other work changed points of {self._collection} meanwhile; trying again"
        )
