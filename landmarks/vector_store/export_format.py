"""A collection as a file: JSON Lines, compressed by gzip, read and written as a stream.

    line 1    the header: format and version, the encoder of the vectors, the collection's metadata
              and payload indexes
    line …    one point each: id, vector (base64 of little-endian float32, so every bit survives),
              payload
    or        a photo that is kept and not shown, as a person took it out: its mark, and no vector;
              releases that do not know of them refuse such a file
    last      the number of points, and the SHA-256 of all lines before this one

So a file that was cut off or damaged anywhere is detected. The checksum guards against accidents,
not against forgery.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from landmarks.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from landmarks.files import replace_file
from landmarks.vector_store.marks import held_mark
from landmarks.vector_store.points import FloatVector, check_vector

FORMAT = "landmarks-collection"
VERSION = 1
# Of one line, unpacked. A point takes some ten kilobytes; a few bytes of a file may unpack to any
# number.
_MOST_LINE_BYTES = 8 * 1024 * 1024
# Vectors hardly compress at any level; the rest does at the quickest.
_LEVEL = 1
NO_VECTOR: FloatVector = np.zeros(0, np.float32)


@dataclass(frozen=True)
class ExportHeader:
    """The header of an export.

    `metadata` is the collection's beyond its lineage, as JSON. `indexes` is the kind of each
    payload index by the path of its field. `export_id` identifies this export.
    """

    export_id: str
    collection: str
    gallery: str
    model: str
    digest: str
    dimension: int
    distance: str
    metadata: Mapping[str, object]
    indexes: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class ExportedPoint:
    """A point of a file: `vector` is float32, shape (dimension,), bit for bit as it was stored.

    `size` is the length of its line in bytes, where it was read from one.
    """

    id: int | str
    vector: FloatVector
    payload: Mapping[str, object]
    size: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether it is the mark of a photo that is kept and not shown; it has no vector."""
        return not self.vector.size and held_mark(self.payload)


def write_export(path: Path, header: ExportHeader, points: Iterable[ExportedPoint]) -> int:
    """Write a file and return how many points it has; it appears when it is complete.

    Raises AlreadyExistsError if a file of that name exists, InvalidInputError for a point that
    `read_points` would refuse for its size or its vector.
    """
    if path.exists():
        raise AlreadyExistsError(f"{path} exists; give another name, or delete it first")
    count, digest = 0, hashlib.sha256()

    def write_points(new: Path) -> None:
        nonlocal count
        # Neither name nor time is in the file: the same points are the same bytes.
        with new.open("wb") as file, gzip.GzipFile("", "wb", _LEVEL, fileobj=file, mtime=0) as out:

            def write(value: object) -> None:
                line = _line(value)
                if len(line) > _MOST_LINE_BYTES:
                    raise InvalidInputError(
                        f"the point after {count:,} others takes {len(line):,} bytes, and at most"
                        f" {_MOST_LINE_BYTES:,} are exported; take long texts out of its payload"
                    )
                digest.update(line)
                out.write(line)

            write({"format": FORMAT, "version": VERSION, **asdict(header)})
            for point in points:
                write(_encoded(point))
                count += 1
            write({"points": count, "sha256": digest.hexdigest()})

    replace_file(path, write_points)
    return count


def check_export(path: Path) -> tuple[ExportHeader, int]:
    """Read a file to its end; return its header and how many points it has.

    Raises InvalidInputError if it is not an export, cut off or damaged, or has a point that cannot
    be stored; NotFoundError.
    """
    lines = _lines(path)
    header = _header(next(lines, b""), path)
    count, refused = 0, None
    for number, line in enumerate(lines, start=2):
        count += 1
        try:
            if refused is None:
                _point(line, number, path, header)
        except InvalidInputError as error:
            refused = error  # if the file turns out to be damaged, that is what to say of it
    if refused is not None:
        raise refused
    return header, count


def read_points(path: Path, header: ExportHeader) -> Iterator[ExportedPoint]:
    """Yield the points of a file as they are read. Raises as `check_export`, at the end at latest.

    Raises InvalidInputError for a point that does not fit this header.
    """
    lines = _lines(path)
    next(lines, b"")
    for number, line in enumerate(lines, start=2):
        yield _point(line, number, path, header)


def _point(line: bytes, number: int, path: Path, header: ExportHeader) -> ExportedPoint:
    try:
        point = _decoded(line, header.dimension)
        _check_vector_of(point)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path}, line {number}: not a point: {error}") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}, line {number}: {error}", field="vector") from error
    return point


def _check_vector_of(point: ExportedPoint) -> None:
    if point.is_kept:
        return
    try:
        check_vector(point.vector, f"the vector of point {point.id}")
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{error}; where it is stored, index its photo again or delete the point, and export"
            " again",
            field="vector",
        ) from error


def _lines(path: Path) -> Iterator[bytes]:
    """Yield all lines but the last, which must match them."""
    digest, lines, held = hashlib.sha256(), 0, b""
    try:
        with _opened(path) as file:
            while line := file.readline(_MOST_LINE_BYTES + 1):
                if len(line) > _MOST_LINE_BYTES:
                    raise InvalidInputError(
                        f"{path} is no export, or damaged: line {lines + 2 if held else 1} has more"
                        f" than {_MOST_LINE_BYTES:,} bytes"
                    )
                if held:
                    digest.update(held)
                    lines += 1
                    yield held
                held = line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInputError(
            f"{path} is cut off, damaged, or no export ({error}); copy or export it again"
        ) from error
    if held != _line({"points": lines - 1, "sha256": digest.hexdigest()}):
        raise InvalidInputError(
            f"{path} is cut off or damaged: its last line does not match the {lines} before it;"
            " copy or export it again"
        )


def _opened(path: Path) -> gzip.GzipFile:
    try:
        return gzip.open(path, "rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error


def _header(line: bytes, path: Path) -> ExportHeader:
    try:
        found = json.loads(line)
        kind, version = found.pop("format"), found.pop("version")
        if (kind, version) == (FORMAT, VERSION):
            return ExportHeader(**found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"{path} is not an export of a collection") from error
    raise InvalidInputError(
        f"{path} is {kind!r} of version {version!r}; this program reads {FORMAT!r} of {VERSION}"
    )


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _encoded(point: ExportedPoint) -> dict[str, object]:
    _check_vector_of(point)
    numbers = np.asarray(point.vector, dtype="<f4").tobytes()
    vector = base64.b64encode(numbers).decode()
    return {"id": point.id, "vector": vector, "payload": dict(point.payload)}


def _decoded(line: bytes, dimension: int) -> ExportedPoint:
    found = json.loads(line)
    vector = np.frombuffer(base64.b64decode(found["vector"], validate=True), dtype="<f4")
    kept = not vector.size and held_mark(found["payload"])
    if vector.shape != (dimension,) and not kept:
        raise ValueError(
            f"the vector of point {found['id']} has {vector.size} numbers instead of {dimension}"
        )
    if not isinstance(found["id"], (int, str)) or not isinstance(found["payload"], dict):
        raise TypeError("its id or payload is of another type")
    return ExportedPoint(
        found["id"], vector.astype(np.float32, copy=False), found["payload"], len(line)
    )
