"""What a gallery knows already of photos that are new to a collection: by their id and their bytes.

A photo that moved or was renamed has another id, and the same bytes. So it keeps its vector, and
what a person said of it. In the collection of another model it has the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from indexer_worker.context import WorkerContext
from indexer_worker.photo_reader import ReadPhoto
from landmarks.errors import NotFoundError
from landmarks.naming import parse_collection_name
from landmarks.vector_store.held_photos import HeldPhoto
from landmarks.vector_store.points import FloatVector
from landmarks.vector_store.said import Said


@dataclass(frozen=True, eq=False)
class KnownPhoto:
    """What is known of a photo that was read.

    `vector` is float32, shape (dimension,), unit length, of the same bytes and encoder; None if
    there is none, and then `width` and `height` (pixels) are 0.
    """

    said: Said
    vector: FloatVector | None = None
    width: int = 0
    height: int = 0


class KnownPhotos:
    """Looks photos up for one chunk, in its collection ("": there is none yet) and in the others.

    Each look reads one or two pages of each collection of the gallery.
    """

    def __init__(self, context: WorkerContext, gallery: str, collection: str) -> None:
        self._context = context
        self._gallery = gallery
        self._collection = collection
        self._by_id: dict[UUID, HeldPhoto] = {}
        self._names: list[str] | None = None

    def look_up(self, ids: Collection[UUID]) -> None:
        """Look for photos without a point in the collection: kept there, or in another one."""
        if not ids:
            return
        for name in self._collections():
            for one, photo in self._read(name, ids).items():
                before = self._by_id.get(one)
                if before is None or photo.said.at > before.said.at:
                    self._by_id[one] = photo

    def said_of(self, point: UUID) -> Said:
        """Return what was said of a photo that was looked up."""
        held = self._by_id.get(point)
        return held.said if held else Said()

    def taken_out(self, ids: Collection[UUID]) -> dict[UUID, HeldPhoto]:
        """Return those of the photos that were looked up which a person has taken out."""
        found = {one: self._by_id[one] for one in ids if one in self._by_id}
        return {one: photo for one, photo in found.items() if photo.said.taken_out}

    def of(
        self, photos: Sequence[ReadPhoto], points: Mapping[UUID, Mapping[str, object]]
    ) -> dict[UUID, KnownPhoto]:
        """Return what is known of photos; `points` are the payloads of those that have a point.

        Of a photo counts first what was said of it with these bytes, then what was said of the same
        bytes elsewhere, and then what was said of it with other bytes: it was edited since. Bytes
        that the gallery shows anywhere are not taken out.
        """
        alike: dict[str, list[tuple[str, HeldPhoto]]] = {one.sha256: [] for one in photos}
        for name in self._collections() if photos else ():
            for held in self._of_bytes(name, alike):
                alike[held.sha256].append((name, held))
        vectors = self._vectors(alike)
        found: dict[UUID, KnownPhoto] = {}
        for one in photos:
            before = self._before(one, points)
            said = _said(before, one.sha256, [held for _, held in alike[one.sha256]])
            found[one.photo.point] = KnownPhoto(said, *vectors.get(one.sha256, ()))
        return found

    def _before(
        self, photo: ReadPhoto, points: Mapping[UUID, Mapping[str, object]]
    ) -> tuple[str, Said]:
        """Return the bytes' sha256, and what was said, of the photo with this id; "": unknown."""
        point = photo.photo.point
        if (payload := points.get(point)) is not None:
            return str(payload.get("sha256", "")), Said.of(payload)
        held = self._by_id.get(point)
        return (held.sha256, held.said) if held else ("", Said())

    def _vectors(
        self, alike: Mapping[str, Iterable[tuple[str, HeldPhoto]]]
    ) -> dict[str, tuple[FloatVector, int, int]]:
        """Return the vector, width and height that the collection has of photos by their bytes."""
        sources = {
            sha256: held
            for sha256, known in alike.items()
            # What is kept may have no vector.
            for name, held in sorted(known, key=lambda one: one[1].shown)
            if name == self._collection
        }
        if not sources:
            return {}
        ids = {held.id for held in sources.values()}
        read = self._context.held_photos.read(self._collection, ids, with_vectors=True)
        found: dict[str, tuple[FloatVector, int, int]] = {}
        for sha256, source in sources.items():
            held = read.get(source.id)
            # It may have been deleted or changed meanwhile.
            if held is None or held.vector is None or held.sha256 != sha256:
                continue
            width, height = held.payload.get("width"), held.payload.get("height")
            if isinstance(width, int) and isinstance(height, int):
                found[sha256] = held.vector, width, height
        return found

    def _read(self, name: str, ids: Collection[UUID]) -> Mapping[UUID, HeldPhoto]:
        try:
            return self._context.held_photos.read(name, ids)
        except NotFoundError:
            if name == self._collection:
                raise
            return {}  # dropped meanwhile

    def _of_bytes(self, name: str, sha256s: Collection[str]) -> Sequence[HeldPhoto]:
        try:
            return self._context.held_photos.of_bytes(name, sha256s)
        except NotFoundError:
            if name == self._collection:
                raise
            return ()

    def _collections(self) -> list[str]:
        """Return the names of the gallery's collections."""
        # Before Python 3.12, a cached_property of all chunks would wait while one of them reads.
        if self._names is None:
            names = self._context.collections.names()
            parsed = {one: parse_collection_name(one) for one in names}
            self._names = [
                name for name, one in parsed.items() if one and one.gallery == self._gallery
            ]
        return self._names


def _said(before: tuple[str, Said], sha256: str, alike: Sequence[HeldPhoto]) -> Said:
    its_bytes, said = before
    if its_bytes == sha256 or not alike:
        return said
    shown = [one for one in alike if one.shown]
    return max((one.said for one in shown or alike), key=lambda one: one.at)
