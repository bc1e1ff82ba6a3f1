"""Writes to points that no older write can undo, whenever it arrives. For threads.

A worker may be stopped for hours between any two of its steps, so nothing that it has checked holds
when it writes. The store itself compares, in each write:

1. `claim` marks the points as about to be written, if they are still as they were read; of an id
   that does not exist, it makes a reservation.
2. The worker asks Redis whether it still has its lease, now that the claim is there.
3. `write` and `delete_claimed` change only points that still have the claim, and add none.

Who gets the lease after step 2 finds the claim, and takes it away. `delete` takes away all, and
leaves marks of its own generation.

Each copy of a point evaluates the conditions by itself, and only one copy is read. So a step that
failed is repeated until it is acknowledged: it does nothing on a copy that has it already. Where it
never was, the copies may differ, and nothing that a copy says is true of the point. `settle_claim`,
`settled` and `write_back` make the copies equal again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from qdrant_client import QdrantClient, models

from landmarks.batched import batched
from landmarks.errors import UnsupportedError
from landmarks.settings import QdrantSettings
from landmarks.vector_store.client import address_of
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.filters import Equals, Filter, to_qdrant
from landmarks.vector_store.marks import (
    ALWAYS_READ,
    CLAIM,
    GENERATION,
    MARK,
    PLANNED,
    Claim,
    Mark,
    Seen,
    claimed,
    held_mark,
    is_mark,
    old_marks,
    older_than,
    only_marks,
    unchanged,
)
from landmarks.vector_store.paging import in_parts
from landmarks.vector_store.payload_indexes import PayloadIndexes
from landmarks.vector_store.points import PayloadValue, Point
from landmarks.vector_store.queries import point_ids, point_struct, uuid_of
from landmarks.vector_store.settings import VectorStoreSettings

_PAGE = 1000
# In one operation: with payloads of 32 KiB, they fit a message.
_POINTS = 64
# An older server takes `update_mode` for an unknown field, and a reservation would replace a photo.
_FIRST_VERSION = (1, 17)

_Payload = Mapping[str, PayloadValue]


class FencedWrites:
    """Claims, writes and deletes points. `collection` is the name of one, or of an alias."""

    def __init__(self, client: QdrantClient, settings: VectorStoreSettings) -> None:
        self._client = client
        self._settings: QdrantSettings = settings
        self._indexes = PayloadIndexes(client, settings)
        self._address = address_of(settings)
        self._checked = False

    def claim(
        self,
        collection: str,
        claim: Claim,
        seen: Mapping[UUID, Seen],
        planned: Mapping[UUID, _Payload],
        swept_before: int = 0,
    ) -> set[UUID]:
        """Claim points that are as they were seen, or do not exist and were not seen.

        `planned` are the payloads that ids without a photo will have, by which deletions find them.
        `swept_before`: deletion marks that are older may be gone from some copies only.
        Returns the ids that are not claimed, as somebody else has changed them.
        """
        self._check_version()
        ids = [*{**seen, **planned}]
        if not ids:
            return set()
        photos = {one: state for one, state in seen.items() if not state.mark}
        self._batch(
            collection,
            [
                *(_claim_photos(claim, some, state) for state, some in _alike(photos)),
                *_reservations(claim, seen, {i: planned[i] for i in ids if i not in photos}),
                *_claim_old_marks(claim, [one for one in ids if one not in seen], swept_before),
            ],
        )
        states = self.seen(collection, ids)
        return {one for one in ids if one not in states or states[one].claim != claim}

    def write(
        self,
        collection: str,
        claim: Claim,
        points: Sequence[Point],
        payloads: Mapping[UUID, _Payload],
        kept: Mapping[UUID, Mapping[str, object]] | None = None,
    ) -> None:
        """Store points, and other payloads of points whose vectors stay; both only if claimed.

        `kept` are photos that no search shows, as `HeldPhoto.mark` returns them.

        Raises InvalidInputError, and stores none, if a vector cannot be searched for.
        """
        generation = {GENERATION: claim.generation}
        still_claimed = claimed(claim.generation)
        operations: list[models.UpdateOperation] = []
        for some in batched(points, _POINTS):
            structs = [
                point_struct(one.id, one.vector, {**one.payload, **generation}) for one in some
            ]
            operations.append(_update(structs, models.Filter(must=[still_claimed])))
        for one, payload in payloads.items():
            chosen = models.Filter(must=[_with_ids([one]), still_claimed])
            change = models.SetPayload(payload={**payload, **generation}, filter=chosen)
            operations.append(models.OverwritePayloadOperation(overwrite_payload=change))
        marks = [_vectorless(one, {**mark, **generation}) for one, mark in (kept or {}).items()]
        condition = models.Filter(must=[still_claimed])
        operations += [_update(some, condition) for some in batched(marks, _POINTS)]
        self._batch(collection, operations)

    def give_up_payloads(self, collection: str, generation: int, ids: Sequence[UUID]) -> None:
        """Make marks of points whose payload cannot be read, unless they are newer than that.

        No condition on such a point works but by the indexes of its fields.
        """
        payload = {MARK: Mark.DAMAGED.value, GENERATION: generation}
        condition = older_than(generation, claims=False)
        self._batch(collection, [_update([_vectorless(one, payload) for one in ids], condition)])

    def settle_claim(
        self, collection: str, claim: Claim, ids: Collection[UUID], newest: int
    ) -> None:
        """Claim points whose copies may differ, but none that is newer than `newest`.

        A copy that lacks one of the ids gets a reservation.
        """
        self._check_version()
        operations: list[models.UpdateOperation] = []
        for some in batched(ids, _POINTS):
            condition = older_than(newest + 1)
            condition.must = [_with_ids(some)]
            change = models.SetPayload(payload={CLAIM: claim.to_payload()}, filter=condition)
            operations += [
                _insertion([_reservation(one, claim, {}, 0) for one in some]),
                models.SetPayloadOperation(set_payload=change),
            ]
        self._batch(collection, operations)

    def settled(
        self, collection: str, claim: Claim, ids: Sequence[UUID]
    ) -> list[models.PointStruct]:
        """Return what claimed points shall be on all copies: what one copy says of them."""
        return [
            point
            for some in batched(ids, _POINTS)
            for part in in_parts(some, lambda few: self._settled(collection, claim, few))
            for point in part
        ]

    def _settled(
        self, collection: str, claim: Claim, ids: Sequence[UUID]
    ) -> list[models.PointStruct]:
        with qdrant_failures(self._address):
            records = self._client.retrieve(
                collection, point_ids(ids), with_payload=True, with_vectors=True
            )
        found: list[models.PointStruct] = []
        for record in records:
            payload = dict(record.payload or {})
            if Seen.of(payload).claim != claim:
                continue  # it is newer than what was in doubt
            if is_mark(payload) and payload[MARK] != Mark.KEPT:
                found += _deleted([uuid_of(record.id)], claim.generation)
                continue
            del payload[CLAIM]
            found.append(
                models.PointStruct(id=str(record.id), vector=record.vector or {}, payload=payload)
            )
        return found

    def write_back(
        self, collection: str, claim: Claim, points: Sequence[models.PointStruct]
    ) -> None:
        """Write what `settled` returned, only if claimed.

        The generation of a photo stays as it was, as nobody has indexed it again.
        """
        condition = models.Filter(must=[claimed(claim.generation)])
        marks = [one for one in points if not one.vector]
        photos = [one for one in points if one.vector]
        self._batch(
            collection,
            [
                _update(list(some), condition)
                for kind in (photos, marks)
                for some in batched(kind, _POINTS)
            ],
        )

    def delete_claimed(self, collection: str, claim: Claim, ids: Sequence[UUID]) -> None:
        """Delete points that are still claimed."""
        if ids:
            condition = models.Filter(must=[claimed(claim.generation)])
            self._batch(collection, [_update(_deleted(ids, claim.generation), condition)])

    def release(self, collection: str, claims: Mapping[UUID, Claim]) -> None:
        """Take claims away, so that the writes of their holders no longer pass."""
        by_generation: dict[int, list[UUID]] = {}
        for one, claim in claims.items():
            by_generation.setdefault(claim.generation, []).append(one)
        self._batch(
            collection,
            [
                models.DeletePayloadOperation(
                    delete_payload=models.DeletePayload(
                        keys=[CLAIM],
                        filter=models.Filter(must=[_with_ids(ids), claimed(generation)]),
                    )
                )
                for generation, ids in by_generation.items()
            ],
        )

    def refused(self, collection: str, claim: Claim, ids: Sequence[UUID]) -> set[UUID]:
        """Return which photos a write did not reach, as somebody took its claim away.

        Those that were deleted, or written again, since are not among them.
        """
        states = self.seen(collection, ids)
        return {
            one
            for one, state in states.items()
            if state.generation < claim.generation and state.mark != Mark.DELETED
        }

    def seen(self, collection: str, ids: Sequence[UUID]) -> dict[UUID, Seen]:
        """Return the bookkeeping of the points that exist, marks too."""
        if not ids:
            return {}
        with qdrant_failures(self._address):
            records = self._client.retrieve(
                collection,
                point_ids(ids),
                with_payload=[GENERATION, CLAIM, MARK],
                with_vectors=False,
            )
        return {uuid_of(one.id): Seen.of(one.payload or {}) for one in records}

    def delete(self, collection: str, generation: int, ids: Sequence[UUID]) -> None:
        """Delete points and reservations, but none newer than `generation`.

        Ids that do not exist are no error: they get marks too, as another copy may have them.
        """
        self._check_version()
        self._indexes.ensure_usual(collection)  # of a collection of an earlier release
        for some in batched(ids, _PAGE):
            marks = _deleted(some, generation)
            self._batch(collection, [_insertion(marks), _update(marks, older_than(generation))])

    def delete_where(
        self,
        collection: str,
        generation: int,
        conditions: Filter,
        delete: Callable[[list[UUID]], None] | None = None,
    ) -> int:
        """Delete what passes a filter, as `delete` does; return how many were photos.

        `delete` deletes a page of them, if given. Raises ValueError for the empty filter.
        """
        if not conditions:
            raise ValueError("an empty filter would delete every point; drop the collection")
        return self._delete_where(collection, generation, conditions, "", delete)

    def delete_source(
        self,
        collection: str,
        generation: int,
        source: str,
        path_prefix: str = "",
        delete: Callable[[list[UUID]], None] | None = None,
    ) -> int:
        """Delete the photos of a source whose path has this prefix, and return how many.

        As `delete_where` does.
        """
        chosen = Filter(must=(Equals("source", source),))
        return self._delete_where(collection, generation, chosen, path_prefix, delete)

    def sweep(self, collection: str, before: int) -> None:
        """Remove marks that are older than a generation."""
        old = models.Filter(must=old_marks().must, must_not=older_than(before).must_not)
        with qdrant_failures(self._address):
            self._client.delete(collection, models.FilterSelector(filter=old), wait=True)

    def _delete_where(
        self,
        collection: str,
        generation: int,
        conditions: Filter,
        path_prefix: str,
        delete: Callable[[list[UUID]], None] | None,
    ) -> int:
        delete = delete or (lambda ids: self.delete(collection, generation, ids))
        photos = 0
        planned = to_qdrant(conditions, under=PLANNED) or models.Filter()
        reserved = models.FieldCondition(key=MARK, match=models.MatchValue(value=Mark.RESERVED))
        planned.must = [reserved, *(planned.must or [])]
        stored = to_qdrant(conditions)
        if conditions.passes_absent():  # as a mark does, whatever its photo has
            stored = models.Filter(must=[stored] if stored else None, must_not=[only_marks()])
        for chosen in (stored, planned):
            found = self._scroll(collection, chosen, path_prefix)
            for some in batched(found, _PAGE):
                delete([one for one, _ in some])
                photos += sum(not mark for _, mark in some)
        return photos

    def _scroll(
        self, collection: str, chosen: models.Filter | None, path_prefix: str
    ) -> Iterator[tuple[UUID, bool]]:
        """Yield the ids that pass a filter and have such a path, and whether they are marks."""
        fields = [*ALWAYS_READ, "path", f"{PLANNED}.path"]
        following = None
        while True:
            with qdrant_failures(self._address):
                page, following = self._client.scroll(
                    collection,
                    scroll_filter=chosen,
                    limit=_PAGE,
                    offset=following,
                    with_payload=fields,
                    with_vectors=False,
                )
            for record in page:
                payload = record.payload or {}
                path = payload.get("path") or (payload.get(PLANNED) or {}).get("path")
                # Qdrant matches no prefixes. A filter of what points have not passes what is kept.
                if str(path or "").startswith(path_prefix) and not held_mark(payload):
                    yield uuid_of(record.id), is_mark(payload)
            if following is None:
                return

    def _batch(self, collection: str, operations: Sequence[models.UpdateOperation]) -> None:
        def update(some: Sequence[models.UpdateOperation]) -> None:
            with qdrant_failures(self._address):
                self._client.batch_update_points(collection, some, wait=True)

        if operations:
            for _ in in_parts(operations, update):
                pass

    def _check_version(self) -> None:
        """Raise UnsupportedError if Qdrant is too old to update points without adding any."""
        if self._checked:
            return
        with qdrant_failures(self._address):
            version = self._client.info().version
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers < _FIRST_VERSION:
            raise UnsupportedError(
                f"Qdrant at {self._address} is version {version}, which adds points where it should"
                " only change them, so that deleted photos could come back; 1.17 or later is needed"
            )
        self._checked = True


def _claim_photos(claim: Claim, ids: Sequence[UUID], seen: Seen) -> models.UpdateOperation:
    condition = unchanged(seen)
    condition.must = [_with_ids(ids), *(condition.must or [])]
    change = models.SetPayload(payload={CLAIM: claim.to_payload()}, filter=condition)
    return models.SetPayloadOperation(set_payload=change)


def _reservations(
    claim: Claim, seen: Mapping[UUID, Seen], planned: Mapping[UUID, _Payload]
) -> Iterator[models.UpdateOperation]:
    for absent in batched((one for one in planned if one not in seen), _POINTS):
        yield _insertion([_reservation(one, claim, planned[one], 0) for one in absent])
    for state, ids in _alike({one: seen[one] for one in planned if one in seen}):
        points = [_reservation(one, claim, planned[one], state.generation) for one in ids]
        yield _update(points, unchanged(state))
        # A sweep that was not acknowledged may have removed the mark from another copy.
        yield _insertion(points)


def _claim_old_marks(
    claim: Claim, absent: Sequence[UUID], swept_before: int
) -> Iterator[models.UpdateOperation]:
    """Claim marks that a sweep which was not acknowledged has left on some copies."""
    if absent and swept_before > 0:
        condition = older_than(swept_before)
        condition.must = [_with_ids(absent), *(old_marks().must or [])]
        change = models.SetPayload(payload={CLAIM: claim.to_payload()}, filter=condition)
        yield models.SetPayloadOperation(set_payload=change)


def _reservation(one: UUID, claim: Claim, planned: _Payload, generation: int) -> models.PointStruct:
    payload: dict[str, object] = {
        MARK: Mark.RESERVED.value,
        CLAIM: claim.to_payload(),
        PLANNED: dict(planned),
    }
    if generation:
        payload[GENERATION] = generation
    return _vectorless(one, payload)


def _deleted(ids: Iterable[UUID], generation: int) -> list[models.PointStruct]:
    payload = {MARK: Mark.DELETED.value, GENERATION: generation}
    return [_vectorless(one, payload) for one in ids]


def _vectorless(one: UUID, payload: Mapping[str, object]) -> models.PointStruct:
    return models.PointStruct(id=str(one), vector={}, payload=dict(payload))


def _update(points: list[models.PointStruct], condition: models.Filter) -> models.UpdateOperation:
    """Return the replacement of those of the points that exist and pass a filter."""
    return models.UpsertOperation(
        upsert=models.PointsList(
            points=points, update_filter=condition, update_mode=models.UpdateMode.UPDATE_ONLY
        )
    )


def _insertion(points: list[models.PointStruct]) -> models.UpdateOperation:
    """Return the insertion of those of the points that do not exist."""
    return models.UpsertOperation(
        upsert=models.PointsList(points=points, update_mode=models.UpdateMode.INSERT_ONLY)
    )


def _with_ids(ids: Sequence[UUID]) -> models.Condition:
    return models.HasIdCondition(has_id=point_ids(ids))


def _alike(seen: Mapping[UUID, Seen]) -> Iterator[tuple[Seen, list[UUID]]]:
    """Yield points by how they were seen: those of one earlier write are alike."""
    groups: dict[Seen, list[UUID]] = {}
    for one, state in seen.items():
        groups.setdefault(state, []).append(one)
    yield from groups.items()
