"""Values as EXIF, XMP and IPTC write them: dates, zones, places, ratings, cameras."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone

from landmarks.photos.metadata.facts import Facts, RefusedError, clean

# Of the oldest photo that there is. A scan may state when its original was taken.
_FIRST_YEAR = 1826
_DATE = re.compile(
    r"(\d{4})(?:[-:](\d\d?)(?:[-:](\d\d?)"
    r"(?:[T ](\d\d?):(\d\d)(?::(\d\d)(?:[.,]\d*)?)?)?)?)?\s*(Z|[+-]\d\d:?\d\d)?"
)
_ZONE = re.compile(r"([+-])(\d\d):?(\d\d)")
_MOST_HOURS = 14  # between UTC and any place's time
# Exif 2.32, XMP part 2: degrees, minutes and maybe seconds, and a letter.
_XMP_DEGREES = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d+)?)(?:,(\d{1,2}(?:\.\d+)?))?([NSEW])")
_DIGITS = 7  # a centimetre
# Where a maker's name ends and its company's begins.
_COMPANY = frozenset(
    {"camera", "co", "company", "corp", "corporation", "electric", "imaging", "inc", "ltd"}
    | {"gmbh", "ag", "optical", "techwin", "computer", "digital"}
)


def offer_date(facts: Facts, what: str, date: str, zone: str, now: datetime) -> None:
    """Offer the time when a photo was taken, as `2024:05:01 12:00:00` or an ISO 8601 date.

    `zone` is as in EXIF's OffsetTime, or empty. A date whose zone nobody knows is stored as if it
    was in UTC, and `taken_zone` says so.
    """
    if "taken" in facts.values or not date.strip(" :\0"):  # Exif: blanks are an unknown date
        return

    def read() -> str:
        found = _DATE.fullmatch(date.strip(" \0"))
        if found is None:
            raise RefusedError(f"{what} {clean(date)!r} is not a date")
        year, month, day, hour, minute, second = (int(one or 0) for one in found.groups()[:6])
        stated = found[7] or zone.strip(" \0")
        try:
            offset = _offset(stated)
        except RefusedError as error:
            facts.note(str(error))
            offset = None
        try:
            taken = datetime(
                year,
                month if found[2] else 1,
                day if found[3] else 1,
                hour,
                minute,
                second,
                tzinfo=offset or UTC,
            )
            taken.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise RefusedError(f"{what} {clean(date)!r} is not a date: {error}") from None
        if not (taken.year >= _FIRST_YEAR and taken <= now + timedelta(days=1)):
            raise RefusedError(f"{what} {clean(date)!r} is before photography or to come")
        if offset is None:
            facts.values["taken_zone"] = "unknown"
        return taken.isoformat().replace("+00:00", "Z")

    facts.offer("taken", read)


def _offset(zone: str) -> timezone | None:
    """Return a zone; None if it is blank. Raises RefusedError for one that no place has."""
    if not zone.strip(" :"):
        return None
    if zone == "Z":
        return UTC
    found = _ZONE.fullmatch(zone)
    if found is None or int(found[2]) > _MOST_HOURS or int(found[3]) > 59:
        raise RefusedError(f"{clean(zone)!r} is not a time zone, such as +02:00")
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)


def place_of(latitude: float, longitude: float) -> dict[str, float]:
    """Return a place, in degrees; raises RefusedError outside the world, and for 0, 0.

    That is what a receiver without a signal writes.
    """
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise RefusedError("the place is not a number")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise RefusedError(
            f"the place {latitude:g}, {longitude:g} is outside 90 degrees of latitude and 180 of"
            " longitude"
        )
    if latitude == longitude == 0:
        raise RefusedError("the place 0, 0 is that of a receiver without a signal")
    return {"lat": round(latitude, _DIGITS), "lon": round(longitude, _DIGITS)}


def xmp_degrees(text: str) -> float:
    """Read degrees as XMP writes them: `50,53.7N` or `50,53,42N`."""
    found = _XMP_DEGREES.fullmatch(text.strip())
    if found is None:
        raise RefusedError(f"{clean(text)!r} is not a latitude or longitude")
    degrees = int(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
    return -degrees if found[4] in "SW" else degrees


def rating_of(text: str) -> float:
    """Read a rating in stars: 0 to 5, or -1 for a rejected photo."""
    try:
        rating = float(text)
    except ValueError:
        rating = math.nan
    if not -1 <= rating <= 5:
        raise RefusedError(f"the rating {clean(text)!r} is not -1 to 5")
    return rating


def camera_of(make: str, model: str) -> str | None:
    """Return a camera's name of its maker's and its model's.

    The maker's without its company (`NIKON CORPORATION`), and not twice (`Canon Canon EOS 5D`).
    """
    named = (clean(model) or "").split()
    maker: list[str] = []
    for word in (clean(make) or "").split():
        if maker and word.strip(",.").lower() in _COMPANY:
            break
        maker.append(word)
    known = {word.strip(",.").lower() for word in maker}
    if named and named[0].lower() in known:
        maker = []
    return clean(" ".join([*maker, *named]))
