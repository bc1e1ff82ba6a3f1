"""Points: stable ids, and the payload of a photo."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self, TypeAlias, cast
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from landmarks.errors import InvalidInputError
from landmarks.photos.column_types import PayloadValue as PayloadValue  # what payloads hold
from landmarks.photos.metadata.facts import FACT_NAMES
from landmarks.vector_store.marks import BOOKKEEPING
from landmarks.vector_store.said import NOTHING_SAID, SAID_FIELDS, Said, source_label

FloatVector: TypeAlias = NDArray[np.float32]
Payload: TypeAlias = dict[str, PayloadValue]

# Never change it: another namespace would give every photo a second point.
POINT_NAMESPACE = UUID("f7eec2c3-1e7d-4e91-b6d8-022dc421e075")

RESERVED_COLUMNS = frozenset(
    {
        "uri",
        "source",
        "path",
        "sha256",
        "landmark",
        "width",
        "height",
        "indexed_at",
        "job_id",
        "file_version",
        "payload_version",
        "facts_stated",
        "sidecars",
        "stale",
        *SAID_FIELDS,
        *BOOKKEEPING,
    }
)
_MAX_COLUMN_LENGTH = 128
_COLUMN_SYNTAX = frozenset('."[]')  # these have a meaning in the path of a payload field


def point_id(gallery: str, source: str, path: str) -> UUID:
    """Return a stable id, so that indexing a photo again replaces its point instead of adding one.

    `path` is relative to the source's root, so the id survives a moved mount, and is the same in
    the collections of all models.
    """
    return uuid5(POINT_NAMESPACE, f"{gallery}/{source}/{path}")


def check_column(name: str) -> str:
    """Return the name of an additional column of a manifest as it is.

    Names of fields that indexing itself records are refused; the indexer stores such a column as
    `manifest_<name>`.

    Raises InvalidInputError for a reserved, empty or too long name, or one with `. " [ ]` or
    control characters in it.
    """
    if name in RESERVED_COLUMNS:
        raise InvalidInputError(
            f"a manifest cannot have a column {name!r} of its own: indexing records that itself;"
            " rename the column",
            field="columns",
        )
    usable = name.isprintable() and not _COLUMN_SYNTAX.intersection(name)
    if not name.strip() or len(name) > _MAX_COLUMN_LENGTH or not usable:
        raise InvalidInputError(
            f"{name!r} cannot be the name of a column: 1 to {_MAX_COLUMN_LENGTH} printable"
            ' characters without . " [ ]',
            field="columns",
        )
    return name


@dataclass(frozen=True, eq=False)
class PhotoPayload:
    """The payload of a photo's point.

    `landmark` is the source's label, None if unknown. The field of that name which is stored is
    `said.shown(landmark)`, as a person's word counts more. `file_version` is the source's version
    of the file, such as size and time, from before it was read; while it is the same, the file need
    not be read again.
    `stale` marks a point whose photo could not be read when it was last indexed, so that the vector
    is of an older version. `columns` are the manifest's other columns.

    `facts` are what is inside the photo, by names of `FACT_NAMES`; a column of such a name is
    stored instead of the fact. `payload_version` changes with how they are read, "" if they were
    not; `sidecars` are the files beside the photo that they were read from too, relative to the
    source's root. Raises InvalidInputError as `check_column`.
    """

    uri: str
    source: str
    path: str  # relative to the source's root
    sha256: str  # hexadecimal, of the photo's bytes
    width: int  # pixels, as the photo is shown
    height: int
    indexed_at: datetime  # aware
    job_id: str
    landmark: str | None = None
    file_version: str = ""
    stale: bool = False
    columns: Mapping[str, PayloadValue] = field(default_factory=dict)
    facts: Mapping[str, PayloadValue] = field(default_factory=dict)
    payload_version: str = ""
    sidecars: tuple[str, ...] = ()
    said: Said = NOTHING_SAID

    def __post_init__(self) -> None:
        for name in self.columns:
            check_column(name)
        if self.indexed_at.tzinfo is None:
            raise InvalidInputError("indexed_at has no time zone", field="indexed_at")

    def __eq__(self, other: object) -> bool:
        """Compare with types, as a field holds numbers of one: 1889 is not 1889.0, nor 1 true."""
        return isinstance(other, PhotoPayload) and self._typed() == other._typed()

    def _typed(self) -> str:
        return json.dumps(self.to_payload(), sort_keys=True)

    def to_payload(self) -> Payload:
        """Return the payload as it is stored; absent and false fields are left out."""
        payload: Payload = {
            **self.facts,
            **self.columns,
            "uri": self.uri,
            "source": self.source,
            "path": self.path,
            "sha256": self.sha256,
            "width": self.width,
            "height": self.height,
            "indexed_at": self.indexed_at.astimezone(UTC).isoformat(timespec="seconds"),
            "job_id": self.job_id,
        }
        if (shown := self.said.shown(self.landmark)) is not None:
            payload["landmark"] = shown
        payload.update(cast("Payload", self.said.to_payload(self.landmark)))
        if self.file_version:
            payload["file_version"] = self.file_version
        if self.stale:
            payload["stale"] = True
        if self.payload_version:
            payload["payload_version"] = self.payload_version
            if stated := sorted(FACT_NAMES & self.columns.keys()):
                payload["facts_stated"] = stated
        if self.sidecars:
            payload["sidecars"] = list(self.sidecars)
        return payload

    @classmethod
    def from_payload(cls, payload: Mapping[str, object]) -> Self:
        """Read a stored payload.

        Raises InvalidInputError if it is not one that this program wrote.
        """
        try:
            facts = facts_in(payload)
            return cls(
                uri=_text(payload["uri"]),
                source=_text(payload["source"]),
                path=_text(payload["path"]),
                sha256=_text(payload["sha256"]),
                width=_whole(payload["width"]),
                height=_whole(payload["height"]),
                indexed_at=datetime.fromisoformat(_text(payload["indexed_at"])),
                job_id=_text(payload["job_id"]),
                landmark=source_label(payload),
                file_version=_text(payload.get("file_version", "")),
                stale=payload.get("stale") is True,
                columns={
                    name: _value(value)
                    for name, value in payload.items()
                    if name not in RESERVED_COLUMNS and name not in facts
                },
                facts={name: _value(payload[name]) for name in facts},
                payload_version=_text(payload.get("payload_version", "")),
                sidecars=_texts(payload.get("sidecars", [])),
                said=Said.of(payload),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"the payload is not one of a photo: {type(error).__name__}: {error}"
            ) from error


def facts_in(payload: Mapping[str, object]) -> frozenset[str]:
    """Return the names of a stored payload's fields that were read from the photo.

    Those of the same name that a manifest stated are none, nor are those of earlier releases.
    """
    if not payload.get("payload_version"):
        return frozenset()
    return (FACT_NAMES & payload.keys()) - set(_texts(payload.get("facts_stated", [])))


def check_vector(vector: FloatVector, what: str) -> None:
    """Raise InvalidInputError for a vector that no search can rank: NaN, infinity, or all zeros.

    `what` names the vector in the message. A Qdrant server stores all three without a word, and
    ranks NaN before every other point.
    """
    if not np.isfinite(vector).all():
        raise InvalidInputError(f"{what} has NaN or infinity in it", field="vector")
    if not vector.any():
        raise InvalidInputError(f"{what} is all zeros, which has no direction", field="vector")


@dataclass(frozen=True, eq=False)
class Point:
    """A point to store: `vector` is float32, unit length, shape (dimension,)."""

    id: UUID
    vector: FloatVector
    payload: Mapping[str, PayloadValue]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list of texts")
    return tuple(map(_text, value))


def _value(value: object) -> PayloadValue:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping) and value.keys() == {"lat", "lon"}:
        return {name: float(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        for kind in (str, int, float):
            if all(isinstance(one, kind) for one in value):
                return list(value)
    raise TypeError(f"{value!r} is not a text, number, boolean, place or list of one type")
