"""Exports whole collections to files and imports them, through Qdrant's own protocol.

It works with the embedded engine and a cluster alike, so it also moves a gallery from one to the
other. The target's settings decide the layout of a collection (shards, replicas, quantization,
index).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from qdrant_client import QdrantClient, models

from landmarks.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LandmarksError,
    LineageError,
    NotFoundError,
)
from landmarks.naming import collection_name, parse_alias_name, parse_collection_name
from landmarks.vector_store.client import address_of
from landmarks.vector_store.collection_info import (
    IMPORT,
    IMPORT_BEGUN,
    IMPORT_COMPLETE,
    IMPORT_STORED,
    Lineage,
    check_lineage,
)
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.export_format import (
    NO_VECTOR,
    ExportedPoint,
    ExportHeader,
    check_export,
    read_points,
    write_export,
)
from landmarks.vector_store.marks import KEPT, MARK, Mark, held_mark, is_mark, of_photo, only_marks
from landmarks.vector_store.paging import in_parts, scroll_pages
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.queries import point_struct, vector_of
from landmarks.vector_store.settings import VectorStoreSettings

Report = Callable[[str, int, "int | None"], None]
"""Called with what is being done, how much of it is done, and of how much."""

_LINEAGE = ("gallery", "model", "digest", "dimension")
# Of no use elsewhere: the previous live collection, and the import of this one.
_LEFT_OUT = (*_LINEAGE, "previous", IMPORT)
_PAGE_BYTES = 2 * 1024 * 1024
# Of a page with its payloads: well below the cap on messages.
_MESSAGE_BYTES = 16 * 1024 * 1024
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    `changed`: the number of points changed meanwhile, so the file may match neither the state
    before nor after. Replaced points are not noticed.
    """

    collection: str
    points: int
    changed: bool


@dataclass(frozen=True)
class ImportResult:
    """The result of an import. `points`: in the file; `written`: now, 0 if complete before."""

    collection: str
    points: int
    written: int
    live: bool
    replaced: str


class CollectionTransfer:
    """Exports and imports collections of one Qdrant."""

    def __init__(self, client: QdrantClient, settings: VectorStoreSettings, report: Report) -> None:
        self._client = client
        self._collections = Collections(client, settings)
        self._points = PointStore(client, settings)
        self._address = address_of(settings)
        self._report = report

    def export(self, name: str, path: Path) -> ExportResult:
        """Write a collection to a file. `name` is its own, or `<gallery>__<model>`: the live one.

        Raises NotFoundError; AlreadyExistsError if there is a file of that name.
        """
        lineage = self._named(name)
        count = self._count(lineage.name)
        written = write_export(path, self._header(lineage), self._read(lineage, count))
        same = count == written == self._count(lineage.name)
        return ExportResult(lineage.name, written, changed=not same)

    def import_(self, path: Path, *, beside: bool = False) -> ImportResult:
        """Store the collection of a file, and make it live when it is complete.

        Called again after an interruption, it goes on; after it was complete, it changes nothing.
        `beside`: the live collection stays live.

        Raises InvalidInputError if the file is not whole, or has a vector that cannot be searched
        for, before anything is written; LineageError if the live collection is of another encoder,
        unless `beside`.
        """
        self._report("checking the file", 0, None)
        header, count = check_export(path)
        if header.distance != models.Distance.COSINE.value:
            raise InvalidInputError(f"{path} has {header.distance} distances instead of Cosine")
        if not beside:
            self._check_live(header)
        name, state = self._target(header)
        replaced = None
        if state == IMPORT_BEGUN:
            self._write(name, path, header, count)
            self._collections.build_index(name)
            self._await_index(name)
            self._collections.note(name, IMPORT, f"{IMPORT_STORED} {header.export_id}")
        # A complete one may have been imported beside, with nothing live.
        if not beside and (state != IMPORT_COMPLETE or not self._live_name(header)):
            replaced = self._collections.promote(name)
        if state != IMPORT_COMPLETE:
            self._collections.note(name, IMPORT, f"{IMPORT_COMPLETE} {header.export_id}")
        return ImportResult(
            name,
            points=count,
            written=count if state == IMPORT_BEGUN else 0,
            live=self._live_name(header) == name,
            replaced=replaced if replaced not in (None, name) else "",
        )

    def _named(self, name: str) -> Lineage:
        if parse_collection_name(name) is not None:
            return self._collections.lineage(name)
        alias = parse_alias_name(name)
        if alias is None:
            raise InvalidInputError(
                f"{name!r} is neither a collection's name nor <gallery>__<model>", field="name"
            )
        return self._collections.live(*alias)

    def _header(self, lineage: Lineage) -> ExportHeader:
        with qdrant_failures(self._address):
            info = self._client.get_collection(lineage.name)
        vectors = info.config.params.vectors
        if not isinstance(vectors, models.VectorParams):
            raise InvalidInputError(f"{lineage.name} does not have one unnamed vector per point")
        metadata: Mapping[str, object] = info.config.metadata or {}
        return ExportHeader(
            export_id=uuid4().hex,
            collection=lineage.name,
            gallery=lineage.gallery,
            model=lineage.model,
            digest=lineage.digest,
            dimension=lineage.dimension,
            distance=vectors.distance.value,
            metadata={key: value for key, value in metadata.items() if key not in _LEFT_OUT},
            indexes={path: one.data_type.value for path, one in info.payload_schema.items()},
        )

    def _read(self, lineage: Lineage, count: int) -> Iterator[ExportedPoint]:
        done = 0
        for page in scroll_pages(
            self._client,
            self._address,
            lineage.name,
            _page(lineage.dimension),
            with_vectors=True,
        ):
            photos = [one for one in page if not is_mark(one.payload or {}) or _is_kept(one)]
            for record in photos:
                if _is_kept(record):
                    mark = {key: (record.payload or {})[key] for key in (MARK, KEPT)}
                    yield ExportedPoint(str(record.id), NO_VECTOR, mark)
                    continue
                vector = vector_of(record.vector)
                if vector is None:
                    raise LandmarksError(f"the point {record.id} has no vector")
                number = isinstance(record.id, int)
                # Generations are of the Redis of this system.
                yield ExportedPoint(
                    int(record.id) if number else str(record.id),
                    vector,
                    of_photo(record.payload or {}),
                )
            done += len(photos)
            self._report("points", done, max(count, done))

    def _check_live(self, header: ExportHeader) -> None:
        live = self._collections.find_live(header.gallery, header.model)
        if live is not None and live.digest != header.digest:
            raise LineageError(
                f"{live.name}, which is live, is of the encoder {live.digest[:8]}, and the file of"
                f" {header.digest[:8]}; with --beside it is imported and not made live, and then"
                " `landmarks collections --promote` changes over"
            )

    def _live_name(self, header: ExportHeader) -> str:
        live = self._collections.find_live(header.gallery, header.model)
        return "" if live is None else live.name

    def _target(self, header: ExportHeader) -> tuple[str, str]:
        """Return the collection to write to, created if necessary, and how far its import is.

        It is one that an earlier import of this export began, or else a new one: with the usual
        name, or if that is taken, with a name of this export.
        """
        usual = collection_name(header.gallery, header.model, header.digest)
        of_export = sha256(f"{header.digest} {header.export_id}".encode()).hexdigest()
        own = collection_name(header.gallery, header.model, of_export)
        for name in (own, usual):
            match self._imported(name):
                case [state, header.export_id]:
                    return name, state
        free = next((name for name in (usual, own) if not self._collections.exists(name)), None)
        if free is None:
            raise AlreadyExistsError(f"{usual} and {own} exist already; drop one that is not live")
        created = self._collections.create_beside(
            header.gallery,
            header.model,
            header.digest,
            header.dimension,
            unindexed=True,
            name=free,
            noted={**header.metadata, IMPORT: f"{IMPORT_BEGUN} {header.export_id}"},
        )
        return created.name, IMPORT_BEGUN

    def _imported(self, name: str) -> list[str]:
        try:
            with qdrant_failures(self._address):
                metadata = self._client.get_collection(name).config.metadata or {}
        except NotFoundError:
            return []
        return str(metadata.get(IMPORT, "")).split()

    def _write(self, name: str, path: Path, header: ExportHeader, count: int) -> None:
        check_lineage(self._collections.lineage(name), header.digest, header.dimension)
        self._collections.ensure_indexes(name, header.indexes)
        done = 0
        for some in _pages(read_points(path, header), _page(header.dimension)):
            structs = [_struct(one) for one in some]

            def upsert(part: Sequence[models.PointStruct]) -> int:
                with qdrant_failures(self._address):
                    self._client.upsert(name, list(part), wait=True)
                return len(part)

            for stored in in_parts(structs, upsert):
                done += stored
                self._report("points", done, count)
        if (stored := self._count(name)) != count:
            raise LandmarksError(
                f"{name} has {stored} points, and the file {count}: something else writes to it."
                " It was not made live; stop indexing into this gallery, drop the collection and"
                " import again"
            )

    def _count(self, name: str) -> int:
        """Return how many photos a collection has, with those that are kept and not shown."""
        with qdrant_failures(self._address):
            kept = self._client.count(name, only_marks([Mark.KEPT]), exact=True).count
        return self._points.count(name) + kept

    def _await_index(self, name: str) -> None:
        waited = 0
        while (status := self._collections.status(name)) != "green":
            if status == "red":
                raise LandmarksError(f"the index of {name} could not be built; see Qdrant's log")
            self._report(f"index, {status}", waited, None)
            waited += 1
            time.sleep(_LOOK_SECONDS)


def _is_kept(record: models.Record) -> bool:
    return held_mark(record.payload or {})


def _struct(point: ExportedPoint) -> models.PointStruct:
    if point.is_kept:
        return models.PointStruct(id=point.id, vector={}, payload=dict(point.payload))
    return point_struct(point.id, point.vector, point.payload)


def _pages(points: Iterable[ExportedPoint], most: int) -> Iterator[list[ExportedPoint]]:
    """Yield pages of up to `most` points that fit one message, whatever their payloads are."""
    page: list[ExportedPoint] = []
    size = 0
    for point in points:
        if page and (len(page) == most or size + point.size > _MESSAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(point)
        size += point.size
    if page:
        yield page


def _page(dimension: int) -> int:
    """Return how many points make a page of about two megabytes."""
    return max(16, min(1000, _PAGE_BYTES // (4 * dimension)))
