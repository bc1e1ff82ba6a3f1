"""What has to be done for a photo, from what its point says already. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from landmarks.errors import InvalidInputError
from landmarks.photos.entry import Entry
from landmarks.vector_store.points import RESERVED_COLUMNS, PhotoPayload


class Work(Enum):
    """What has to be done for a photo."""

    NOTHING = auto()  # its point says all that there is to say
    PAYLOAD = auto()  # the vector is right, what is said of the photo has changed
    ENCODE = auto()


@dataclass(frozen=True)
class Described:
    """A photo as its source describes it, and the id of its point."""

    entry: Entry
    point: UUID
    source: str


@dataclass(frozen=True)
class Decision:
    """What to do, and the payload to store; None where nothing or everything is to be done."""

    work: Work
    payload: PhotoPayload | None = None


def decide(
    photo: Described,
    sha256: str,
    version: str,
    existing: Mapping[str, object] | None,
    job_id: str,
    now: datetime,
) -> Decision:
    """Compare a photo with the payload of its point, if it has one.

    The same bytes need no encoding; of the payload, all that the source says is compared, and not
    when or by which job it was written. A payload that cannot be read is replaced.
    """
    if existing is None:
        return Decision(Work.ENCODE)
    try:
        before = PhotoPayload.from_payload(existing)
    except InvalidInputError:
        return Decision(Work.ENCODE)
    if before.sha256 != sha256:
        return Decision(Work.ENCODE)
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
        return Decision(Work.NOTHING)
    return Decision(Work.PAYLOAD, replace(after, indexed_at=now, job_id=job_id))


def payload_of(
    photo: Described,
    *,
    sha256: str,
    version: str,
    width: int,
    height: int,
    indexed_at: datetime,
    job_id: str,
) -> PhotoPayload:
    """Return what a point says of a photo.

    A column of a manifest that is called like something that indexing records itself (`source`,
    `width`, …) is kept as `manifest_source`, `manifest_width`, ….
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
    """Return the version of the file that a point's vector is of; "" where that is not known."""
    if existing is None:
        return ""
    try:
        payload = PhotoPayload.from_payload(existing)
    except InvalidInputError:  # it will be replaced
        return ""
    return "" if payload.stale else payload.file_version


def is_stale(existing: Mapping[str, object] | None) -> bool | None:
    """Say whether a point is marked as stale; None where there is no point."""
    return None if existing is None else existing.get("stale") is True
