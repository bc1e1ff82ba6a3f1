"""The types that a manifest's columns can have, and the values of their cells.

A cell becomes a value that the vector store can compare: a whole number, a number, a date (RFC
3339), true or false, a place, or a list of texts. An empty cell is no value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeAlias

from landmarks.photos.dates import date_span, rfc_3339

PayloadValue: TypeAlias = (
    str | int | float | bool | dict[str, float] | list[str] | list[int] | list[float] | None
)

_ANY_PLACE = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*[,; ]\s*([+-]?\d+(?:\.\d+)?)")
_SEPARATOR = re.compile(r"[;|]")
# A float holds all whole numbers up to here.
MOST_WHOLE = 2**53
# A filter for a box finds no point at a pole. This is a centimetre away.
_POLE = 90 - 1e-7


class ColumnType(StrEnum):
    """What the cells of a column are, as a manifest's first line can state it."""

    TEXT = "text"
    INTEGER = "int"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "bool"
    PLACE = "place"
    LIST = "list"


_NAMES = {
    **{one.value: one for one in ColumnType},
    "integer": ColumnType.INTEGER,
    "float": ColumnType.NUMBER,
    "boolean": ColumnType.BOOLEAN,
}
_WHAT = {
    ColumnType.TEXT: "a text",
    ColumnType.INTEGER: "a whole number",
    ColumnType.NUMBER: "a number",
    ColumnType.DATE: "a date, such as 2024-05-01 or 2024-05-01T12:00:00Z",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.PLACE: "a place: latitude and longitude in degrees, such as 50.895,4.341",
    ColumnType.LIST: "a list of texts with ; between them",
}
# The fields that indexing reads from the photos themselves, so that a column of that name has
# their type or another name.
PHOTO_FIELDS = {
    "taken": ColumnType.DATE,
    "camera": ColumnType.TEXT,
    "lens": ColumnType.TEXT,
    "place": ColumnType.PLACE,
    "caption": ColumnType.TEXT,
    "keywords": ColumnType.LIST,
    "rating": ColumnType.NUMBER,
}


def stated_type(heading: str) -> tuple[str, ColumnType | None]:
    """Return the name in `year:int` and the type, which is None where the heading states none."""
    name, colon, kind = heading.rpartition(":")
    known = _NAMES.get(kind.strip().lower()) if colon and name.strip() else None
    return (heading, None) if known is None else (name.strip(), known)


def described(kind: ColumnType) -> str:
    """Return what a cell of this type is, in words."""
    return _WHAT[kind]


def place_value(latitude: float, longitude: float) -> dict[str, float]:
    """Return a place in degrees as it is stored; raises ValueError for one that is not on Earth."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError(
            f"{latitude}, {longitude} is not a place: latitudes are -90 to 90, longitudes -180 to"
            " 180"
        )
    return {"lat": min(max(latitude, -_POLE), _POLE), "lon": longitude}


def value_of(kind: ColumnType, cell: str) -> PayloadValue:
    """Return a cell as a value of a stated type; None if it is empty.

    Raises ValueError, which says what a cell of that type is.
    """
    cell = cell.strip()
    if not cell:
        return None
    try:
        return _LENIENT[kind](cell)
    except ValueError:
        raise ValueError(f"{cell[:80]!r} is not {_WHAT[kind]}") from None


def _text(cell: str) -> str:
    return cell


def _integer(cell: str) -> int:
    number = int(cell)
    if abs(number) > MOST_WHOLE:
        raise ValueError
    return number


def _number(cell: str) -> float:
    number = float(cell)
    if not abs(number) < float("inf"):  # NaN neither
        raise ValueError
    return number


def _date(cell: str) -> str:
    return rfc_3339(date_span(cell)[0])


def _boolean(cell: str) -> bool:
    word = cell.lower()
    if word in ("true", "yes", "1"):
        return True
    if word in ("false", "no", "0"):
        return False
    raise ValueError


def _place(cell: str) -> dict[str, float]:
    found = _ANY_PLACE.fullmatch(cell)
    if found is None:
        raise ValueError
    return place_value(float(found[1]), float(found[2]))


def _list(cell: str) -> list[str]:
    return [part.strip() for part in _SEPARATOR.split(cell) if part.strip()]


_LENIENT: Mapping[ColumnType, Callable[[str], PayloadValue]] = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.NUMBER: _number,
    ColumnType.DATE: _date,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.PLACE: _place,
    ColumnType.LIST: _list,
}
