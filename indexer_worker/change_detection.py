"""Which photos need encoding or a new payload, from the payloads of their points. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from hashlib import blake2b
from uuid import UUID

from landmarks.errors import InvalidInputError
from landmarks.photos.column_types import PayloadValue
from landmarks.photos.entry import Entry
from landmarks.photos.metadata.facts import FACT_NAMES
from landmarks.photos.metadata.read import FactsWanted
from landmarks.vector_store.points import RESERVED_COLUMNS, PhotoPayload
from landmarks.vector_store.said import NOTHING_SAID, Said

# Stored with a photo. A page of a thousand payloads must fit one message, twice over.
MOST_TEXT_BYTES = 32 * 1024
# Higher with each change of how facts are read: the next job then reads them once more.
_PAYLOAD_VERSION = 1


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
class Inside:
    """What is inside a photo, and the payload version that it was read for."""

    facts: Mapping[str, PayloadValue]
    version: str


@dataclass(frozen=True)
class Known:
    """What a photo's point says of it: the version of its file, and of its payload."""

    file_version: str = ""
    payload_version: str = ""


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
    inside: Inside | None = None,
    said: Said = NOTHING_SAID,
) -> Decision:
    """Compare a photo with the payload of its point, if it has one.

    The same bytes need no encoding. Of the payload, all that comes from the source is compared,
    not when or by which job it was written. `inside` is None if the point has what is inside the
    photo. What a person said stays; `said` is what another collection of the gallery has of that. A
    payload that cannot be read is replaced.
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
        inside=inside or Inside(before.facts, before.payload_version),
        said=max(before.said, said, key=lambda one: one.at),
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
    inside: Inside,
    said: Said = NOTHING_SAID,
) -> PhotoPayload:
    """Return the payload of a photo's point; `said` is what a person says of it.

    A manifest's column is stored instead of a fact of its name, unless its cell is empty.
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
            for name, value in _stated(photo.entry).items()
        },
        facts=_fitting(photo.entry, inside.facts),
        payload_version=inside.version,
        sidecars=photo.entry.sidecars,
        said=said,
    )


def payload_version(entry: Entry, sidecars: Sequence[str], wanted: FactsWanted) -> str:
    """Return what the facts of an unchanged photo depend on, as a text.

    That is how they are read, which are wanted, which a manifest states instead, and the versions
    of the photo's sidecars, in their order.
    """
    parts = [str(_PAYLOAD_VERSION)]
    parts += [] if wanted.places else ["without places"]
    parts += ["with serials"] if wanted.serials else []
    stated = sorted(FACT_NAMES & _stated(entry).keys())
    if stated or sidecars:
        values = json.dumps([stated, entry.sidecars, sidecars]).encode()
        parts.append(blake2b(values, digest_size=8).hexdigest())
    return ", ".join(parts)


def known_of(existing: Mapping[str, object] | None) -> Known:
    """Return what a point says of the photo that its vector was made from."""
    if existing is None:
        return Known()
    try:
        payload = PhotoPayload.from_payload(existing)
    except InvalidInputError:  # it will be replaced
        return Known()
    return Known() if payload.stale else Known(payload.file_version, payload.payload_version)


def text_bytes(entry: Entry) -> int:
    """Return how many bytes of texts a photo's payload has, facts aside."""
    texts = [entry.path, entry.uri, entry.landmark or "", *entry.sidecars]
    for name, value in entry.columns.items():
        texts += [name, value if isinstance(value, str) else json.dumps(value)]
    return sum(len(text.encode(errors="replace")) for text in texts)


def _stated(entry: Entry) -> dict[str, PayloadValue]:
    """Return the columns, without those that are named like a fact and have no value."""
    return {
        name: value
        for name, value in entry.columns.items()
        if name not in FACT_NAMES or value not in ("", None)
    }


def _fitting(entry: Entry, facts: Mapping[str, PayloadValue]) -> dict[str, PayloadValue]:
    """Return the facts that no column states, as far as the payload has room, shortest first."""
    stated = set(_stated(entry))
    if "taken" in stated:
        stated.add("taken_zone")
    room = MOST_TEXT_BYTES - text_bytes(entry)
    found: dict[str, PayloadValue] = {}
    sizes = {name: len(json.dumps(value)) for name, value in facts.items() if name not in stated}
    for name in sorted(sizes, key=lambda one: (sizes[one], one)):
        room -= sizes[name]
        if room >= 0:
            found[name] = facts[name]
    return found


def is_stale(existing: Mapping[str, object] | None) -> bool | None:
    """Return whether a point is marked as stale; None if it does not exist."""
    return None if existing is None else existing.get("stale") is True
