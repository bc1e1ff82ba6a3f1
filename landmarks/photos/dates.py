"""Dates as people write them, and as the vector store compares them (RFC 3339)."""

from __future__ import annotations

import re
from datetime import MAXYEAR, UTC, datetime, timedelta, timezone

_DATE = re.compile(
    r"(?P<year>\d{4})(?:[-:](?P<month>\d{2})(?:[-:](?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d{1,9})?)?"
    r" ?(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?)?)?)?"
)


def date_span(text: str) -> tuple[datetime, datetime]:
    """Return when a date begins and when it has ended: a year, a month, a day, a minute or less.

    `2024`, `2024-05`, `2024-05-01`, `2024-05-01T12:00`, with seconds, fractions and a zone, and
    EXIF's `2024:05:01 12:00:00`. Without a zone it is UTC. A time with a fraction is a moment, and
    ends a microsecond later. Raises ValueError for anything else.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a date, such as 2024, 2024-05-01 or 2024-05-01T12:00Z")
    try:
        return _span(found)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a date: {error}") from None


def rfc_3339(moment: datetime) -> str:
    """Return an aware time as text, in its own zone; UTC is `Z`."""
    return moment.isoformat().replace("+00:00", "Z")


def _span(found: re.Match[str]) -> tuple[datetime, datetime]:
    def part(name: str, absent: int) -> int:
        return int(found[name] or absent)

    micro = int(f"{found['fraction'] or '.'}"[1:7].ljust(6, "0"))
    start = datetime(
        part("year", 1),
        part("month", 1),
        part("day", 1),
        part("hour", 0),
        part("minute", 0),
        part("second", 0),
        micro,
        tzinfo=_zone(found["zone"]),
    )
    if found["month"] is None:
        return start, _first_of(start.year + 1, 1)
    if found["day"] is None:
        return start, _first_of(start.year + start.month // 12, start.month % 12 + 1)
    step = timedelta(microseconds=1)
    if found["hour"] is None:
        step = timedelta(days=1)
    elif found["second"] is None:
        step = timedelta(minutes=1)
    elif found["fraction"] is None:
        step = timedelta(seconds=1)
    return start, start + step


def _first_of(year: int, month: int) -> datetime:
    if year > MAXYEAR:
        return datetime(MAXYEAR, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    return datetime(year, month, 1, tzinfo=UTC)


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
