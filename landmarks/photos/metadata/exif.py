"""Facts in EXIF. Source: Exif 3.0 (CIPA DC-008)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import IO

from landmarks.photos.column_types import PayloadValue
from landmarks.photos.metadata.facts import Facts, RefusedError, caption_of, clean
from landmarks.photos.metadata.tiff import Tiff, Value
from landmarks.photos.metadata.values import camera_of, offer_date, place_of, rating_of

_EXIF, _GPS = 0x8769, 0x8825
_DESCRIPTION, _MAKE, _MODEL, _DATE, _RATING = 0x010E, 0x010F, 0x0110, 0x0132, 0x4746
_XMP, _IPTC, _PHOTOSHOP = 0x02BC, 0x83BB, 0x8649
_MAIN = (_EXIF, _GPS, _DESCRIPTION, _MAKE, _MODEL, _DATE, _RATING)
_BLOCKS = (_XMP, _IPTC, _PHOTOSHOP)
_ORIGINAL, _DIGITIZED = 0x9003, 0x9004
_ZONE, _ZONE_ORIGINAL, _ZONE_DIGITIZED = 0x9010, 0x9011, 0x9012
_SERIAL, _LENS = 0xA431, 0xA434
_SHOT = (_ORIGINAL, _DIGITIZED, _ZONE, _ZONE_ORIGINAL, _ZONE_DIGITIZED)
_DEVICE = (_SERIAL, _LENS)
_NORTH_SOUTH, _LATITUDE, _EAST_WEST, _LONGITUDE = 1, 2, 3, 4
_WHERE = (_NORTH_SOUTH, _LATITUDE, _EAST_WEST, _LONGITUDE)
_MOST_BYTES = 64 * 1024  # of a text
EXIF_START = b"Exif\0\0"  # before EXIF, in some formats
MOST_BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Exif:
    """The directories of a photo's EXIF: of the image, of the shot, and of the place."""

    image: dict[int, Value]
    shot: dict[int, Value]
    place: dict[int, Value]

    @property
    def xmp(self) -> bytes:
        """The XMP of a TIFF, or nothing."""
        return self.image[_XMP].data if _XMP in self.image else b""

    @property
    def iptc(self) -> bytes:
        """The IPTC of a TIFF, or nothing."""
        return self.image[_IPTC].data if _IPTC in self.image else b""

    @property
    def photoshop(self) -> bytes:
        """The image resources of a TIFF, or nothing."""
        return self.image[_PHOTOSHOP].data if _PHOTOSHOP in self.image else b""


def read_exif(file: IO[bytes], start: int = 0) -> Exif:
    """Read the EXIF at a place of a file; raises RefusedError if there is none."""
    tiff = Tiff(file, start)
    image = tiff.directory(tiff.first, _MAIN, _MOST_BYTES)
    image |= tiff.directory(tiff.first, _BLOCKS, MOST_BLOCK_BYTES)
    below = [
        tiff.directory(int(image[tag].numbers[0]), wanted, _MOST_BYTES) if tag in image else {}
        for tag, wanted in ((_EXIF, (*_SHOT, *_DEVICE)), (_GPS, _WHERE))
    ]
    return Exif(image, *below)


def read_parts(image: IO[bytes], shot: IO[bytes] | None, place: IO[bytes] | None) -> Exif:
    """Read EXIF whose directories are TIFFs of their own, as in a CR3."""

    def only(file: IO[bytes] | None, wanted: tuple[int, ...]) -> dict[int, Value]:
        if file is None:
            return {}
        tiff = Tiff(file)
        return tiff.directory(tiff.first, wanted, _MOST_BYTES)

    return Exif(only(image, _MAIN), only(shot, (*_SHOT, *_DEVICE)), only(place, _WHERE))


def offer_original_date(facts: Facts, exif: Exif, now: datetime) -> None:
    """Offer the time when the photo was taken, as its camera says."""
    _offer_date(facts, "DateTimeOriginal", exif.shot, _ORIGINAL, exif.shot, _ZONE_ORIGINAL, now)


def offer_other_dates(facts: Facts, exif: Exif, now: datetime) -> None:
    """Offer when it was digitised, then when it was last changed."""
    _offer_date(facts, "DateTimeDigitized", exif.shot, _DIGITIZED, exif.shot, _ZONE_DIGITIZED, now)
    _offer_date(facts, "DateTime", exif.image, _DATE, exif.shot, _ZONE, now)


def offer_exif(facts: Facts, exif: Exif, *, places: bool, serials: bool) -> None:
    """Offer the other facts."""
    facts.offer("camera", lambda: camera_of(_text(exif.image, _MAKE), _text(exif.image, _MODEL)))
    facts.offer("lens", lambda: clean(_text(exif.shot, _LENS)))
    facts.offer("caption", lambda: caption_of(_text(exif.image, _DESCRIPTION)))
    if places and exif.place:
        facts.offer("place", lambda: _place(exif.place))
    if serials:
        facts.offer("serial", lambda: clean(_text(exif.shot, _SERIAL)))


def offer_exif_rating(facts: Facts, exif: Exif) -> None:
    """Offer the rating that Windows writes."""
    if _RATING in exif.image:
        number = exif.image[_RATING].numbers[:1]
        facts.offer("rating", lambda: rating_of(f"{number[0]:g}") if number else None)


def _offer_date(
    facts: Facts,
    what: str,
    dates: dict[int, Value],
    date: int,
    zones: dict[int, Value],
    zone: int,
    now: datetime,
) -> None:
    offer_date(facts, what, _text(dates, date), _text(zones, zone), now)


def _text(tags: dict[int, Value], tag: int) -> str:
    return tags[tag].text if tag in tags else ""


def _place(tags: dict[int, Value]) -> PayloadValue:
    if _LATITUDE not in tags or _LONGITUDE not in tags:
        return None
    latitude, longitude = (_degrees(tags[tag].numbers) for tag in (_LATITUDE, _LONGITUDE))
    if _text(tags, _NORTH_SOUTH).strip().upper() == "S":
        latitude = -latitude
    if _text(tags, _EAST_WEST).strip().upper() == "W":
        longitude = -longitude
    return place_of(latitude, longitude)


def _degrees(parts: tuple[float, ...]) -> float:
    if not parts:
        raise RefusedError("the place has no degrees")
    # Minutes or seconds that are not known are 0/0 in some files.
    minutes, seconds = ([0 if one != one else one for one in parts[1:3]] + [0, 0])[:2]
    return parts[0] + minutes / 60 + seconds / 3600
