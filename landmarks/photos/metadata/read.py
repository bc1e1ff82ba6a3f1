"""All facts of a photo, from its file and its sidecars. It never fails a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from landmarks.photos.column_types import PayloadValue
from landmarks.photos.metadata.blocks import blocks_of
from landmarks.photos.metadata.exif import (
    offer_exif,
    offer_exif_rating,
    offer_original_date,
    offer_other_dates,
)
from landmarks.photos.metadata.facts import Facts, RefusedError
from landmarks.photos.metadata.found import Blocks
from landmarks.photos.metadata.iptc import offer_iptc, read_iptc
from landmarks.photos.metadata.takeout import offer_takeout
from landmarks.photos.metadata.xmp import (
    MOST_XMP_BYTES,
    Xmp,
    offer_xmp,
    offer_xmp_dates,
    offer_xmp_other_dates,
    read_xmp,
)

MOST_SIDECAR_BYTES = MOST_XMP_BYTES


@dataclass(frozen=True)
class FactsWanted:
    """Which facts are stored that some people must leave out."""

    places: bool = True
    serials: bool = False


@dataclass(frozen=True)
class Sidecar:
    """A file beside a photo; `problem` says why it could not be read."""

    name: str
    data: bytes = b""
    problem: str = ""

    @property
    def is_xmp(self) -> bool:
        """Whether it is XMP, by its name."""
        return self.name.lower().endswith(".xmp")


def facts_of(
    file: IO[bytes],
    sidecars: Sequence[Sidecar],
    wanted: FactsWanted,
    now: datetime | None = None,
) -> dict[str, PayloadValue]:
    """Return the facts of a photo as fields of its payload; what cannot be right is a note.

    A sidecar of XMP comes first, as a person's later word; then the file: EXIF before XMP before
    IPTC, but XMP before IPTC for keywords and before EXIF for ratings; then Google's JSON.
    Source: Metadata Working Group, Guidelines for Handling Image Metadata 2.0.
    """
    facts = Facts()
    try:
        _offer_all(facts, file, sidecars, wanted, now or datetime.now(UTC))
    except Exception as error:  # noqa: BLE001 - whatever is in the file, its pixels may be fine
        facts.note(f"what is inside cannot be read: {type(error).__name__}: {error}")
    return facts.payload()


def _offer_all(
    facts: Facts,
    file: IO[bytes],
    sidecars: Sequence[Sidecar],
    wanted: FactsWanted,
    now: datetime,
) -> None:
    for sidecar in sidecars:
        if sidecar.problem:
            facts.note(f"{sidecar.name}: {sidecar.problem}")
        elif sidecar.is_xmp:
            xmp = _xmp(facts, sidecar.data, f"{sidecar.name}: ")
            offer_xmp_dates(facts, xmp, now)
            offer_xmp_other_dates(facts, xmp, now)
            offer_xmp(facts, xmp, places=wanted.places, serials=wanted.serials)
    _offer_file(facts, _blocks(facts, file), wanted, now)
    for sidecar in sidecars:
        if not sidecar.problem and not sidecar.is_xmp and sidecar.name.lower().endswith(".json"):
            try:
                offer_takeout(facts, sidecar.data, now, places=wanted.places)
            except RefusedError as error:
                facts.note(f"{sidecar.name}: {error}")


def _offer_file(facts: Facts, blocks: Blocks, wanted: FactsWanted, now: datetime) -> None:
    exif = blocks.exif
    xmp: Xmp = {}
    for packet in blocks.xmp:
        xmp = xmp or _xmp(facts, packet, "")
    if exif is not None:
        offer_original_date(facts, exif, now)
    offer_xmp_dates(facts, xmp, now)
    if exif is not None:
        offer_exif(facts, exif, places=wanted.places, serials=wanted.serials)
    offer_xmp(facts, xmp, places=wanted.places, serials=wanted.serials)
    offer_iptc(facts, read_iptc(blocks.iptc), now)
    if exif is not None:
        offer_exif_rating(facts, exif)
        offer_other_dates(facts, exif, now)
    offer_xmp_other_dates(facts, xmp, now)


def _blocks(facts: Facts, file: IO[bytes]) -> Blocks:
    try:
        blocks = blocks_of(file)
    except RefusedError as error:
        blocks = Blocks(problems=[str(error)])
    for problem in blocks.problems:
        facts.note(problem)
    return blocks


def _xmp(facts: Facts, data: bytes, where: str) -> Xmp:
    try:
        return read_xmp(data)
    except RefusedError as error:
        facts.note(f"{where}{error}")
        return {}
