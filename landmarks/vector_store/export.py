"""Whole collections to files and back, through Qdrant's own protocol.

The same works for the embedded engine and a cluster, so this is also how one moves. How a
collection is laid out (shards, copies, quantization, the index) is for the target's settings to
say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from qdrant_client import QdrantClient, models
from qdrant_client.conversions import common_types as types

from landmarks.batched import batched
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
    ExportedPoint,
    ExportHeader,
    check_export,
    read_points,
    write_export,
)
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.queries import vector_of
from landmarks.vector_store.settings import VectorStoreSettings

Report = Callable[[str, int, "int | None"], None]
"""Told what is being done, how much is, and of how much."""

_LINEAGE = ("gallery", "model", "digest", "dimension")
# Of no use elsewhere: which collection was live before, and where this one came from.
_LEFT_OUT = (*_LINEAGE, "previous", IMPORT)
_PAGE_BYTES = 2 * 1024 * 1024
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    `changed`: the number of points changed meanwhile, so the file may be neither the state before
    nor after. Points that were replaced are not noticed.
    """

    collection: str
    points: int
    changed: bool


@dataclass(frozen=True)
class ImportResult:
    """What came of an import. `points`: in the file; `written`: now, 0 where it was complete."""

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

        Raises NotFoundError; AlreadyExistsError where there is a file of that name.
        """
        lineage = self._named(name)
        count = self._points.count(lineage.name)
        written = write_export(path, self._header(lineage), self._read(lineage, count))
        same = count == written == self._points.count(lineage.name)
        return ExportResult(lineage.name, written, changed=not same)

    def import_(self, path: Path, *, beside: bool = False) -> ImportResult:
        """Store the collection of a file, and make it live when it is complete.

        Done again after a break, it goes on; done again after it was complete, it changes nothing.
        `beside`: whatever is live stays so.

        Raises InvalidInputError where the file is not whole, before anything is written;
        LineageError where the live collection is of another encoder, unless `beside`.
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
        # Complete, it may have been imported beside, and nothing be live.
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
            raise InvalidInputError(f"{lineage.name} has not one unnamed vector a point")
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
        offset: types.PointId | None = None
        done = 0
        while True:
            with qdrant_failures(self._address):
                page, offset = self._client.scroll(
                    lineage.name,
                    limit=_page(lineage.dimension),
                    offset=offset,
                    with_payload=True,
                    with_vectors=True,
                )
            for record in page:
                vector = vector_of(record.vector)
                if vector is None:
                    raise LandmarksError(f"the point {record.id} came without its vector")
                number = isinstance(record.id, int)
                yield ExportedPoint(
                    int(record.id) if number else str(record.id), vector, record.payload or {}
                )
            done += len(page)
            self._report("points", done, max(count, done))
            if offset is None:
                return

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
        """Return the collection to write to, made if need be, and how far its import is.

        It is one that an earlier import of this export began, or else a new one: of the usual name,
        or where that is taken, of one that this export alone has.
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
        for some in batched(read_points(path, header), _page(header.dimension)):
            structs = [
                models.PointStruct(
                    id=point.id, vector=point.vector.tolist(), payload=dict(point.payload)
                )
                for point in some
            ]
            with qdrant_failures(self._address):
                self._client.upsert(name, structs, wait=True)
            done += len(some)
            self._report("points", done, count)
        if (stored := self._points.count(name)) != count:
            raise LandmarksError(
                f"{name} has {stored} points, and the file {count}: something else writes to it."
                " It was not made live; stop indexing into this gallery, drop the collection and"
                " import again"
            )

    def _await_index(self, name: str) -> None:
        waited = 0
        while (status := self._collections.status(name)) != "green":
            if status == "red":
                raise LandmarksError(f"the index of {name} could not be built; see Qdrant's log")
            self._report(f"index, {status}", waited, None)
            waited += 1
            time.sleep(_LOOK_SECONDS)


def _page(dimension: int) -> int:
    """Return how many points make a page of some megabytes."""
    return max(16, min(1000, _PAGE_BYTES // (4 * dimension)))
