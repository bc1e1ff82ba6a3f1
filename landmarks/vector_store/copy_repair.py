"""Makes the copies of a collection the same again, without encoding anything.

Each point's newest copy is read through a node that has it, vector and payload, and written by the
usual way, which reaches every copy. The store compares in each write, copy by copy: a copy that is
not as it was seen stays as it is. A copy without the point first gets a reservation, so that a
deletion that comes in between finds something to leave its mark on; a photo is only ever written
over what was there when its newest copy was read. Repeating any of it does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from uuid import UUID

from qdrant_client import QdrantClient, models

from landmarks.batched import batched
from landmarks.vector_store.copies import (
    CopiesOfPoint,
    Copy,
    CopyComparer,
    Difference,
    differences,
    is_wrong,
    right_copy,
)
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.marks import (
    CLAIM,
    GENERATION,
    MARK,
    PLANNED,
    Mark,
    Seen,
    of_photo,
    unchanged,
)
from landmarks.vector_store.paging import in_parts
from landmarks.vector_store.queries import point_ids, uuid_of

# Written together: with payloads of 32 KiB, they fit a message.
_POINTS = 64
# Of a point that others write all the time; the comparison that follows finds it again.
_ROUNDS = 3

_Call = Callable[[Callable[[], None]], None]


class CopyRepair:
    """Repairs what a comparer finds, by writes through `client` (at `address`, for messages).

    `acknowledged` makes a call, and repeats it until it succeeds. `deletion` is the generation with
    which photos without one are deleted where a copy lacks them; None: they are kept, and written
    to the copies that lack them.
    """

    def __init__(
        self,
        comparer: CopyComparer,
        client: QdrantClient,
        address: str,
        acknowledged: _Call,
        deletion: int | None = None,
    ) -> None:
        self._comparer = comparer
        self._client = client
        self._address = address
        self._acknowledged = acknowledged
        self._deletion = deletion

    def repair(self, collection: str) -> int:
        """Repair all points that differ; return how many that were."""
        count = 0
        for found in self._comparer.differing(collection):
            count += sum(map(is_wrong, found.values()))
            for some in batched(found, _POINTS):
                self._settle(collection, some)
        return count

    def _settle(self, collection: str, ids: Sequence[UUID]) -> None:
        for _ in range(_ROUNDS):
            seen = {
                one: copies
                for one, copies in self._comparer.look(collection, ids).items()
                if any(differences(copies))
            }
            if not seen:
                return
            ids = list(seen)
            newest = self._newest(collection, seen)
            self._write(collection, _insertions(newest, seen))
            # From now on, a write to one of these points, or its deletion, finds all of its copies.
            now = self._comparer.look(collection, ids)
            still = {
                one: copies
                for one, copies in now.items()
                if one in newest and (right := right_copy(copies)) and _same(newest[one], right)
            }
            self._write(collection, _replacements(newest, still))

    def _newest(
        self, collection: str, seen: Mapping[UUID, CopiesOfPoint]
    ) -> dict[UUID, models.PointStruct]:
        """Return what each point should be on all copies."""
        found: dict[UUID, models.PointStruct] = {}
        wanted: list[tuple[int, UUID]] = []
        for one, copies in seen.items():
            right = right_copy(copies)
            if right is None or right.seen.mark == Mark.RESERVED:
                continue  # its job goes on, or the next job of its photo does
            if not right.is_photo and right.seen.mark != Mark.KEPT:
                found[one] = _mark(one, right.seen.mark, right.seen.generation)
            elif (
                right.is_photo
                and self._deletion is not None
                and Difference.UNCLEAR in differences(copies)
            ):
                found[one] = _mark(one, Mark.DELETED, self._deletion)
            else:
                wanted.append((copies.index(right), one))
        for index, group in groupby(sorted(wanted), key=lambda one: one[0]):
            ids = [one for _, one in group]
            for record in self._read(index, collection, ids):
                one = uuid_of(record.id)
                right = right_copy(seen[one])
                # A node may answer for another that has an older copy, or it was changed meanwhile.
                if right and Copy.of(record.payload or {}).rank == right.rank:
                    payload = {k: v for k, v in (record.payload or {}).items() if k != CLAIM}
                    found[one] = models.PointStruct(
                        id=str(one), vector=record.vector or {}, payload=payload
                    )
        return found

    def _read(self, index: int, collection: str, ids: Sequence[UUID]) -> Iterable[models.Record]:
        node = self._comparer.nodes[index]

        def read(some: Sequence[UUID]) -> list[models.Record]:
            with qdrant_failures(node.address):
                return node.client.retrieve(
                    collection, point_ids(some), with_payload=True, with_vectors=True
                )

        return (record for part in in_parts(ids, read) for record in part)

    def _write(self, collection: str, operations: Sequence[models.UpdateOperation]) -> None:
        def update(some: Sequence[models.UpdateOperation]) -> None:
            with qdrant_failures(self._address):
                self._client.batch_update_points(collection, some, wait=True)

        def write() -> None:
            for _ in in_parts(operations, update):
                pass

        if operations:
            self._acknowledged(write)


def _insertions(
    newest: Mapping[UUID, models.PointStruct], seen: Mapping[UUID, CopiesOfPoint]
) -> list[models.UpdateOperation]:
    """Return what puts something where a copy has nothing: a mark, or a reservation for a photo."""
    points = [
        point if MARK in (point.payload or {}) else _reservation(point)
        for one, point in newest.items()
        if None in seen[one]
    ]
    inserted = models.PointsList(points=points, update_mode=models.UpdateMode.INSERT_ONLY)
    return [models.UpsertOperation(upsert=inserted)] if points else []


def _replacements(
    newest: Mapping[UUID, models.PointStruct], seen: Mapping[UUID, CopiesOfPoint]
) -> list[models.UpdateOperation]:
    """Return what replaces each wrong copy, if it is still as it was seen."""
    groups: dict[Seen, list[models.PointStruct]] = {}
    for one, copies in seen.items():
        right = right_copy(copies)
        for copy in {copy for copy in copies if copy and _is_to_go(copy, right, newest[one])}:
            groups.setdefault(copy.seen, []).append(_with_claim(newest[one], copy.seen))
    return [
        models.UpsertOperation(
            upsert=models.PointsList(
                points=points,
                update_filter=unchanged(state),
                update_mode=models.UpdateMode.UPDATE_ONLY,
            )
        )
        for state, points in groups.items()
    ]


def _is_to_go(copy: Copy, right: Copy | None, newest: models.PointStruct) -> bool:
    if _generation(newest) > (right.seen.generation if right else 0):
        return copy.is_photo  # it is to be deleted
    if right is None or copy.rank == right.rank:
        return False
    return copy.is_photo or right.is_photo or copy.seen.claim is None


def _same(newest: models.PointStruct, right: Copy) -> bool:
    """Say whether the newest copy is still the one that was read."""
    if MARK in (newest.payload or {}) and right.is_photo:
        return right.seen.generation == 0  # a photo that is to be deleted
    return Copy.of(newest.payload or {}).rank == right.rank


def _generation(point: models.PointStruct) -> int:
    return Seen.of(point.payload or {}).generation


def _with_claim(point: models.PointStruct, seen: Seen) -> models.PointStruct:
    """Return a point with the claim of the copy that it replaces, if that is for a newer write."""
    if seen.claim is None or seen.claim.generation <= _generation(point):
        return point
    payload = {**(point.payload or {}), CLAIM: seen.claim.to_payload()}
    return models.PointStruct(id=point.id, vector=point.vector, payload=payload)


def _mark(one: UUID, mark: str, generation: int) -> models.PointStruct:
    payload = {MARK: str(mark), **({GENERATION: generation} if generation else {})}
    return models.PointStruct(id=str(one), vector={}, payload=payload)


def _reservation(point: models.PointStruct) -> models.PointStruct:
    planned = dict(of_photo(point.payload or {}))
    payload = {MARK: Mark.RESERVED.value, PLANNED: planned}
    return models.PointStruct(id=point.id, vector={}, payload=payload)
