"""Which photos need encoding or a new payload, from the payloads of their points. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from landmarks.errors import InvalidInputError
from landmarks.photos.entry import Entry
from landmarks.vector_store.points import RESERVED_COLUMNS, PhotoPayload


class Action(Enum):
    """What a photo needs."""

    NOTHING = auto()  # its point is up to date
    PAYLOAD = auto()  # the same bytes, but another description
    ENCODE = auto()


@dataclass(frozen=True)
class SourcePhoto:
    """A photo as its source describes it, and the id of its point."""

    entry: Entry
    point: UUID
    source: str


@dataclass(frozen=True)
class Decision:
    """An action, and for PAYLOAD the payload to store."""

    action: Action
    payload: PhotoPayload | None = None


def decide(
    photo: SourcePhoto,
    sha256: str,
    version: str,
    existing: Mapping[str, object] | None,
    job_id: str,
    now: datetime,
) -> Decision:
    """Compare a photo with the payload of its point, if it has one.

    The same bytes need no encoding. Of the payload, all that comes from the source is compared,
    not when or by which job it was written. A payload that cannot be read is replaced.
    """
    if existing is None:
        return Decision(Action.ENCODE)
    try:
        before = PhotoPayload.from_payload(existing)
    except InvalidInputError:
        return Decision(Action.ENCODE)
    if before.sha256 != sha256:
        return Decision(Action.ENCODE)
    after = payload_of(
        photo,
        sha256=sha256,
        version=version,
        width=before.width,
        height=before.height,
        indexed_at=before.indexed_at,
        job_id=before.job_id,
    )
    if after == before:
        return Decision(Action.NOTHING)
    return Decision(Action.PAYLOAD, replace(after, indexed_at=now, job_id=job_id))


def payload_of(
    photo: SourcePhoto,
    *,
    sha256: str,
    version: str,
    width: int,
    height: int,
    indexed_at: datetime,
    job_id: str,
) -> PhotoPayload:
    """Return the payload of a photo's point.

    A manifest's column whose name indexing reserves (`source`, `width`, …) is stored as
    `manifest_source`, `manifest_width`, ….
    """
    return PhotoPayload(
        uri=photo.entry.uri,
        source=photo.source,
        path=photo.entry.path,
        sha256=sha256,
        width=width,
        height=height,
        indexed_at=indexed_at,
        job_id=job_id,
        landmark=photo.entry.landmark,
        file_version=version,
        columns={
            f"manifest_{name}" if name in RESERVED_COLUMNS else name: value
            for name, value in photo.entry.columns.items()
        },
    )


def known_version(existing: Mapping[str, object] | None) -> str:
    """Return the version of the file that a point's vector was made from; "" if unknown."""
    if existing is None:
        return ""
    try:
        payload = PhotoPayload.from_payload(existing)
    except InvalidInputError:  # it will be replaced
        return ""
    return "" if payload.stale else payload.file_version


def is_stale(existing: Mapping[str, object] | None) -> bool | None:
    """Return whether a point is marked as stale; None if it does not exist."""
    return None if existing is None else existing.get("stale") is True
