"""What a payload says of its point's writes, beside the photo. No connection.

`generation` numbers a point's writes: each takes a higher number, from one counter in Redis; a
point of an earlier release has none, which counts as 0. `write_claim` is the right to the next
write, and names its holder. `point_mark` is on points that are no photos: one that is reserved for
a photo, whose photo was deleted, or whose photo is not shown but kept, as a person said something
of it. Marks have no vector, so that no search finds them; every read leaves them out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from qdrant_client import models

GENERATION = "generation"
CLAIM = "write_claim"
MARK = "point_mark"
# Of a reservation: the fields that its photo will have, so that a deletion by filter finds it too.
# They are apart, so that no other filter and no facet does.
PLANNED = "planned"

# Of a photo that is kept: its payload and its vector, apart for the same reason.
KEPT = "kept"

BOOKKEEPING = frozenset({GENERATION, CLAIM, MARK, PLANNED, KEPT})
# The part of them that every read needs.
ALWAYS_READ = (GENERATION, MARK)

CLAIM_GENERATION = f"{CLAIM}.{GENERATION}"


class Mark(StrEnum):
    """What a point is that is no photo."""

    RESERVED = "reserved"
    DELETED = "deleted"
    DAMAGED = "damaged"  # its payload could not be read; indexing its photo again replaces it
    # A person took it out of the gallery, or said something of it before its file was gone.
    KEPT = "kept"


@dataclass(frozen=True)
class Claim:
    """The right to write a point: the write's generation, and whose it is."""

    generation: int
    holder: str  # of a worker: its lease, as `Lease.holder` says it

    def to_payload(self) -> dict[str, object]:
        """Return the value of a payload's `write_claim`."""
        return {GENERATION: self.generation, "holder": self.holder}


@dataclass(frozen=True)
class Seen:
    """A point as it was read, so that a write can ask for it to be the same still."""

    generation: int = 0
    claim: Claim | None = None
    mark: str = ""

    @property
    def newest(self) -> int:
        """The highest number in it; the next write's must be higher."""
        return max(self.generation, self.claim.generation if self.claim else 0)

    @classmethod
    def of(cls, payload: Mapping[str, object]) -> Self:
        """Read the bookkeeping of a payload."""
        claim = None
        given = payload.get(CLAIM)
        if isinstance(given, Mapping):
            claim = Claim(_number(given.get(GENERATION)), str(given.get("holder", "")))
        return cls(_number(payload.get(GENERATION)), claim, str(payload.get(MARK) or ""))


def of_photo(payload: Mapping[str, object]) -> Mapping[str, object]:
    """Return a payload without the bookkeeping."""
    if BOOKKEEPING.isdisjoint(payload):
        return payload
    return {name: value for name, value in payload.items() if name not in BOOKKEEPING}


def is_mark(payload: Mapping[str, object]) -> bool:
    """Say whether a point is no photo."""
    return bool(payload.get(MARK))


def held_mark(payload: Mapping[str, object]) -> bool:
    """Say whether a point keeps a photo without showing it."""
    return payload.get(MARK) == Mark.KEPT


def only_marks(kinds: Collection[Mark] = tuple(Mark)) -> models.Filter:
    """Return the filter that points are marks, of these kinds."""
    match = models.MatchAny(any=[one.value for one in kinds])
    return models.Filter(must=[models.FieldCondition(key=MARK, match=match)])


def old_marks() -> models.Filter:
    """Return the filter that points are marks that are of no use after a time."""
    return only_marks([one for one in Mark if one is not Mark.KEPT])


def unchanged(seen: Seen) -> models.Filter:
    """Return the filter that a point is as it was seen; those with its id are the caller's part."""
    must: list[models.Condition] = []
    must_not: list[models.Condition] = []
    if seen.generation:
        must.append(_equals(GENERATION, seen.generation))
    else:
        must_not.append(_at_least(GENERATION, 1))
    if seen.claim is None:
        must.append(models.IsEmptyCondition(is_empty=models.PayloadField(key=CLAIM)))
    else:
        must.append(_equals(CLAIM_GENERATION, seen.claim.generation))
    if seen.mark:
        must.append(models.FieldCondition(key=MARK, match=models.MatchValue(value=seen.mark)))
    return models.Filter(must=must, must_not=must_not or None)


def as_seen(seen: Seen, generation: int) -> models.Filter:
    """Return the filter that a point was not written since, and no claim of it is as new as this.

    Unlike `unchanged`, it passes if somebody else has claimed the point.
    """
    must_not = [
        _at_least(CLAIM_GENERATION, generation),
        *([] if seen.generation else [_at_least(GENERATION, 1)]),
    ]
    must: list[models.Condition] = []
    if seen.generation:
        must.append(_equals(GENERATION, seen.generation))
    if seen.mark:
        must.append(models.FieldCondition(key=MARK, match=models.MatchValue(value=seen.mark)))
    return models.Filter(must=must or None, must_not=must_not)


def claimed(generation: int) -> models.Condition:
    """Return the condition that a point is claimed for this write."""
    return _equals(CLAIM_GENERATION, generation)


def older_than(generation: int, *, claims: bool = True) -> models.Filter:
    """Return the filter that neither a point nor a claim of it is as new as this."""
    keys = [GENERATION, CLAIM_GENERATION] if claims else [GENERATION]
    return models.Filter(must_not=[_at_least(key, generation) for key in keys])


def _equals(key: str, value: int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _at_least(key: str, value: int) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=models.Range(gte=value))


def _number(value: object) -> int:
    # A manifest of an earlier release may have had a column of that name.
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
