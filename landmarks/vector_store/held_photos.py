"""All that a collection holds of photos: what searches show, and what is kept and not shown.

A photo is kept, without being shown, as a mark: its payload, and if it had one its vector, are in
the field `kept`. So it can come back as it was, and what a person said of it is known for as long
as its collection exists. A reservation says of its photo what it is about to be.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from qdrant_client import QdrantClient, models

from landmarks.batched import batched
from landmarks.settings import QdrantSettings
from landmarks.vector_store.client import address_of
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.marks import (
    ALWAYS_READ,
    CLAIM,
    GENERATION,
    KEPT,
    MARK,
    PLANNED,
    Mark,
    Seen,
    as_seen,
    of_photo,
)
from landmarks.vector_store.paging import in_parts
from landmarks.vector_store.points import FloatVector
from landmarks.vector_store.queries import point_ids, point_struct, uuid_of, vector_of
from landmarks.vector_store.said import SAID_FIELDS, Said

_PAGE = 1000
_POINTS = 64
_PAYLOAD, _VECTOR = "payload", "vector"
# What is read of photos with known bytes.
_BRIEF = ("sha256", "width", "height", *SAID_FIELDS)


@dataclass(frozen=True, eq=False)
class HeldPhoto:
    """A photo that a collection holds.

    `vector` is float32, shape (dimension,), unit length; None if it was not read, or there is none.
    `shown`: searches find it. `seen` is its bookkeeping.
    """

    id: UUID
    payload: Mapping[str, object]
    vector: FloatVector | None
    shown: bool
    seen: Seen

    @property
    def said(self) -> Said:
        """What a person said of it."""
        return Said.of(self.payload)

    @property
    def sha256(self) -> str:
        """The sha256 of its bytes, in hexadecimal."""
        return str(self.payload.get("sha256", ""))

    @property
    def reserved(self) -> bool:
        """Whether a worker is about to write it, or was."""
        return self.seen.mark == Mark.RESERVED

    def mark(self) -> dict[str, object]:
        """Return the payload of the mark that keeps the photo without showing it."""
        kept: dict[str, object] = {_PAYLOAD: dict(self.payload)}
        if self.vector is not None:
            kept[_VECTOR] = base64.b64encode(np.asarray(self.vector, "<f4").tobytes()).decode()
        return {MARK: Mark.KEPT.value, KEPT: kept}


class HeldPhotos:
    """Reads and replaces photos, those that are kept and not shown too. For threads."""

    def __init__(self, client: QdrantClient, settings: QdrantSettings) -> None:
        self._client = client
        self._address = address_of(settings)

    def read(
        self, collection: str, ids: Collection[UUID], *, with_vectors: bool = False
    ) -> dict[UUID, HeldPhoto]:
        """Return those of the photos that the collection holds."""

        def retrieve(some: Sequence[UUID]) -> list[models.Record]:
            with qdrant_failures(self._address):
                return self._client.retrieve(
                    collection, point_ids(some), with_payload=True, with_vectors=with_vectors
                )

        records = (one for part in in_parts(list(ids), retrieve) for one in part) if ids else ()
        found = (_held(uuid_of(one.id), one.payload or {}, one.vector) for one in records)
        return {one.id: one for one in found if one is not None}

    def of_bytes(self, collection: str, sha256s: Collection[str]) -> list[HeldPhoto]:
        """Return the photos with these bytes, without vectors, and a part of their payloads."""
        match = models.MatchAny(any=list(sha256s))
        marked = models.FieldCondition(key=MARK, match=models.MatchValue(value=Mark.KEPT.value))
        nested = f"{KEPT}.{_PAYLOAD}"
        kept = models.FieldCondition(key=f"{nested}.sha256", match=match)
        return [
            *self._scroll(
                collection, [models.FieldCondition(key="sha256", match=match)], list(_BRIEF)
            ),
            # Few are kept, and the index of marks finds them.
            *self._scroll(collection, [marked, kept], [f"{nested}.{one}" for one in _BRIEF]),
        ]

    def kept(self, collection: str) -> list[HeldPhoto]:
        """Return the photos that are kept and not shown, without vectors."""
        marked = models.FieldCondition(key=MARK, match=models.MatchValue(value=Mark.KEPT.value))
        return self._scroll(collection, [marked], [CLAIM, f"{KEPT}.{_PAYLOAD}"])

    def replace(
        self,
        collection: str,
        generation: int,
        before: Mapping[UUID, HeldPhoto],
        after: Mapping[UUID, HeldPhoto],
    ) -> None:
        """Replace photos that are still as they were read, in one step each.

        `before` are those that `read` returned, with vectors if one of them is to be hidden or
        shown. A claim that is older than `generation` is taken away, and what is newer stays; the
        caller reads again to see which were replaced. What has no vector cannot be shown: it is
        kept until it is indexed again.
        """
        operations: list[models.UpdateOperation] = []
        for one, photo in after.items():
            condition = as_seen(before[one].seen, generation)
            if photo.shown and before[one].shown:
                condition.must = [models.HasIdCondition(has_id=[str(one)]), *_must(condition)]
                change = models.SetPayload(
                    payload={**photo.payload, GENERATION: generation}, filter=condition
                )
                operations.append(models.OverwritePayloadOperation(overwrite_payload=change))
            else:
                struct = _struct(photo, generation)
                operations.append(
                    models.UpsertOperation(
                        upsert=models.PointsList(
                            points=[struct],
                            update_filter=condition,
                            update_mode=models.UpdateMode.UPDATE_ONLY,
                        )
                    )
                )
        for some in batched(operations, _POINTS):
            for _ in in_parts(some, lambda few: self._update(collection, few)):
                pass

    def _update(self, collection: str, operations: Sequence[models.UpdateOperation]) -> None:
        with qdrant_failures(self._address):
            self._client.batch_update_points(collection, list(operations), wait=True)

    def _scroll(
        self, collection: str, must: list[models.Condition], fields: list[str]
    ) -> list[HeldPhoto]:
        found: list[HeldPhoto] = []
        following = None
        while True:
            with qdrant_failures(self._address):
                page, following = self._client.scroll(
                    collection,
                    scroll_filter=models.Filter(must=must),
                    limit=_PAGE,
                    offset=following,
                    with_payload=[*fields, *ALWAYS_READ],
                    with_vectors=False,
                )
            held = (_held(uuid_of(one.id), one.payload or {}, None) for one in page)
            found += [one for one in held if one is not None]
            if following is None:
                return found


def _held(one: UUID, payload: Mapping[str, object], vector: object) -> HeldPhoto | None:
    seen = Seen.of(payload)
    match seen.mark:
        case "":
            return HeldPhoto(one, of_photo(payload), vector_of(vector), shown=True, seen=seen)
        case Mark.KEPT:
            kept = _mapping(payload.get(KEPT))
            packed = kept.get(_VECTOR)
            stored = _unpacked(packed) if isinstance(packed, str) else None
            return HeldPhoto(one, _mapping(kept.get(_PAYLOAD)), stored, shown=False, seen=seen)
        case Mark.RESERVED:
            return HeldPhoto(one, _mapping(payload.get(PLANNED)), None, shown=False, seen=seen)
    return None


def _struct(photo: HeldPhoto, generation: int) -> models.PointStruct:
    if photo.shown and photo.vector is not None:
        return point_struct(photo.id, photo.vector, {**photo.payload, GENERATION: generation})
    mark = photo.mark()
    return models.PointStruct(id=str(photo.id), vector={}, payload={**mark, GENERATION: generation})


def _must(condition: models.Filter) -> list[models.Condition]:
    must = condition.must
    return [] if must is None else [must] if not isinstance(must, list) else must


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _unpacked(packed: str) -> FloatVector:
    return np.frombuffer(base64.b64decode(packed), "<f4").astype(np.float32)
