"""Compares the copies of a collection, each through its own node. For threads.

A node of a cluster answers reads from its own copy where it has one that is active. So a scroll
through each node sees every copy, and points are compared by id and by the bookkeeping of `marks`:
the newest generation is right, a deletion is a write like any other. Claims and reservations are
no difference by themselves. What differs while somebody writes is looked at again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from uuid import UUID

from qdrant_client import QdrantClient

from landmarks.batched import batched
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.marks import CLAIM, GENERATION, MARK, Mark, Seen
from landmarks.vector_store.paging import scroll_pages
from landmarks.vector_store.queries import point_ids, uuid_of

_PAGE = 1000
# Differing points are looked at again together, so that many of them cost few waits.
_SUSPECTS = 10_000
# Seconds after which what differs is looked at again: a write reaches all copies well within them.
LOOK_AGAIN_SECONDS = (1.0, 4.0)
# They distinguish copies of a point without a generation.
_CONTENT = ("indexed_at", "sha256")
_FIELDS = (GENERATION, CLAIM, MARK, *_CONTENT)
_EXAMPLES = 5


class Difference(StrEnum):
    """How a copy of a point is wrong, or only not like the others."""

    MISSING = "missing"
    OLDER = "older"
    RETURNED = "returned"  # the photo was deleted, and this copy has it
    UNCLEAR = "unclear"  # without a generation: another copy has it, or should have deleted it
    DIFFERENT = "different"  # without a generation, and not what another copy has
    HARMLESS = "harmless"  # no copy has a photo, and their marks differ


_WRONG = tuple(one for one in Difference if one is not Difference.HARMLESS)


@dataclass(frozen=True)
class Node:
    """A node of a cluster, and a client of it alone."""

    address: str
    client: QdrantClient


@dataclass(frozen=True)
class Copy:
    """A copy of a point, as far as it is compared."""

    seen: Seen
    content: tuple[str, ...] = ()

    @property
    def is_photo(self) -> bool:
        """Whether it is a photo, not a mark."""
        return not self.seen.mark

    @property
    def rank(self) -> tuple[int, bool, tuple[str, ...]]:
        """Of two copies, the one of the higher rank is right."""
        return self.seen.generation, self.seen.mark != Mark.RESERVED, self.content

    @classmethod
    def of(cls, payload: Mapping[str, object]) -> Copy:
        """Read a payload."""
        return cls(Seen.of(payload), tuple(str(payload.get(one) or "") for one in _CONTENT))


# The copies of a point, in the order of the nodes; None where it does not exist.
CopiesOfPoint = tuple[Copy | None, ...]


def right_copy(copies: CopiesOfPoint) -> Copy | None:
    """Return the newest copy of a point; None if it does not exist."""
    return max(filter(None, copies), key=lambda one: one.rank, default=None)


def differences(copies: CopiesOfPoint) -> tuple[Difference | None, ...]:
    """Return how each copy of a point differs from the newest one."""
    right = right_copy(copies)
    return tuple(_difference(one, right) for one in copies)


def is_wrong(copies: CopiesOfPoint) -> bool:
    """Say whether a copy has another photo than the newest, or none, or one that is deleted."""
    return not {None, Difference.HARMLESS}.issuperset(differences(copies))


def _difference(one: Copy | None, right: Copy | None) -> Difference | None:
    if right is None or (one is not None and one.rank == right.rank):
        return None
    if not right.is_photo:
        return Difference.RETURNED if one and one.is_photo else Difference.HARMLESS
    if one is None or not one.is_photo:
        return Difference.MISSING if right.seen.generation else Difference.UNCLEAR
    return Difference.OLDER if one.seen.generation < right.seen.generation else Difference.DIFFERENT


@dataclass(frozen=True)
class NodeCounts:
    """What a node has of a collection: its photos, and how many points are wrong on it."""

    node: str
    photos: int = 0
    missing: int = 0
    older: int = 0
    returned: int = 0
    unclear: int = 0
    different: int = 0

    @property
    def wrong(self) -> int:
        """How many points are wrong on this node."""
        return self.missing + self.older + self.returned + self.unclear + self.different


@dataclass(frozen=True)
class Comparison:
    """The result of comparing the copies of a collection.

    `points` differ on some node; of `harmless` ones only the marks do. `examples` are ids of points
    that differ. Without nodes, there is one copy, and nothing was compared.
    """

    nodes: tuple[NodeCounts, ...] = ()
    compared: int = 0
    points: int = 0
    harmless: int = 0
    examples: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether no point differs."""
        return not self.points


class CopyComparer:
    """Compares the copies of a collection through these nodes, all of which must be there.

    `pause` waits for some seconds; `progress` is called with how many points were compared so far.
    Either may raise, to end the comparison.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        pause: Callable[[float], object],
        progress: Callable[[int], object] = lambda _: None,
        look_again: Sequence[float] = LOOK_AGAIN_SECONDS,
    ) -> None:
        self.nodes = tuple(nodes)
        self._pause = pause
        self._progress = progress
        self._look_again = tuple(look_again)

    def compare(self, collection: str) -> Comparison:
        """Compare all points, in the order of ids and in constant memory."""
        tally = _Tally(self.nodes)
        for found in self.differing(collection, tally):
            tally.add(found)
        return tally.result()

    def differing(
        self, collection: str, tally: _Tally | None = None
    ) -> Iterator[dict[UUID, CopiesOfPoint]]:
        """Yield the points that still differ when they are looked at again, many at a time."""
        tally = tally or _Tally(self.nodes)
        suspects: list[UUID] = []
        for one, copies in self._merged(collection):
            tally.saw(copies)
            if tally.compared % _PAGE == 0:
                self._progress(tally.compared)
            if any(differences(copies)):
                suspects.append(one)
                if len(suspects) == _SUSPECTS:
                    yield self._still_differing(collection, suspects)
                    suspects = []
        yield self._still_differing(collection, suspects)

    def look(self, collection: str, ids: Sequence[UUID]) -> dict[UUID, CopiesOfPoint]:
        """Return the copies of points as they are now."""
        found: dict[UUID, list[Copy | None]] = {one: [None] * len(self.nodes) for one in ids}
        for index, node in enumerate(self.nodes):
            for some in batched(ids, _PAGE):
                with qdrant_failures(node.address):
                    records = node.client.retrieve(
                        collection, point_ids(some), with_payload=list(_FIELDS), with_vectors=False
                    )
                for record in records:
                    found[uuid_of(record.id)][index] = Copy.of(record.payload or {})
        return {one: tuple(copies) for one, copies in found.items()}

    def _still_differing(
        self, collection: str, suspects: Sequence[UUID]
    ) -> dict[UUID, CopiesOfPoint]:
        found: dict[UUID, CopiesOfPoint] = {}
        for seconds in self._look_again if suspects else ():
            self._pause(seconds)
            found = {
                one: copies
                for one, copies in self.look(collection, suspects).items()
                if any(differences(copies))
            }
            suspects = list(found)
            if not suspects:
                break
        return found

    def _merged(self, collection: str) -> Iterator[tuple[UUID, CopiesOfPoint]]:
        """Yield each point once, with its copies, in the order of ids."""
        streams = [self._stream(collection, index) for index in range(len(self.nodes))]
        merged = heapq.merge(*streams, key=lambda one: one[0])
        for number, group in groupby(merged, key=lambda one: one[0]):
            copies: list[Copy | None] = [None] * len(self.nodes)
            for _, index, copy in group:
                copies[index] = copy
            yield UUID(int=number), tuple(copies)

    def _stream(self, collection: str, index: int) -> Iterator[tuple[int, int, Copy]]:
        """Yield the points of a node: the id as a number, the node's place, and the copy."""
        node = self.nodes[index]
        for page in scroll_pages(node.client, node.address, collection, _PAGE, fields=_FIELDS):
            for record in page:
                yield uuid_of(record.id).int, index, Copy.of(record.payload or {})


class _Tally:
    """Counts what a comparison finds."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.compared = 0
        self._nodes = nodes
        self._photos = [0] * len(nodes)
        self._found = [Counter[Difference]() for _ in nodes]
        self._points = 0
        self._harmless = 0
        self._examples: list[str] = []

    def saw(self, copies: CopiesOfPoint) -> None:
        """Count a point."""
        self.compared += 1
        for index, copy in enumerate(copies):
            if copy is not None and copy.is_photo:
                self._photos[index] += 1

    def add(self, found: Mapping[UUID, CopiesOfPoint]) -> None:
        """Count points that differ."""
        for one, copies in found.items():
            for index, difference in enumerate(differences(copies)):
                if difference is not None:
                    self._found[index][difference] += 1
            if not is_wrong(copies):
                self._harmless += 1
                continue
            self._points += 1
            if len(self._examples) < _EXAMPLES:
                self._examples.append(str(one))

    def result(self) -> Comparison:
        """Return what was counted."""
        nodes = tuple(
            NodeCounts(node.address, photos, **{one.value: found[one] for one in _WRONG})
            for node, photos, found in zip(self._nodes, self._photos, self._found, strict=True)
        )
        return Comparison(nodes, self.compared, self._points, self._harmless, tuple(self._examples))
