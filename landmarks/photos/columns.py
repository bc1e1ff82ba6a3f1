"""The columns of a manifest: their types are stated in its first line, or inferred."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from landmarks.photos.column_types import (
    MOST_WHOLE,
    PHOTO_FIELDS,
    ColumnType,
    PayloadValue,
    described,
    place_value,
    stated_type,
    value_of,
)

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?")
# Both with a fraction: "12, 15" may be anything.
_PLACE = re.compile(r"([+-]?\d{1,3}\.\d+)\s*[,; ]\s*([+-]?\d{1,3}\.\d+)")
_DAY = re.compile(r"\d{4}[-:]\d{2}[-:]\d{2}")
_LATITUDES = frozenset({"lat", "latitude", "gps_lat", "gps_latitude"})
_LONGITUDES = frozenset({"lon", "lng", "long", "longitude", "gps_lon", "gps_longitude"})


def _looks_like(kind: ColumnType, cell: str) -> bool:
    """Say whether a cell may be of a type that nobody has stated."""
    match kind:
        case ColumnType.TEXT:
            return True
        case ColumnType.INTEGER:
            likely = _INTEGER.fullmatch(cell) is not None
        case ColumnType.NUMBER:
            # A whole number that no float holds is the name of something.
            whole = _INTEGER.fullmatch(cell) is not None
            likely = _NUMBER.fullmatch(cell) is not None and not (
                whole and abs(int(cell)) > MOST_WHOLE
            )
        case ColumnType.DATE:
            likely = _DAY.match(cell) is not None
        case ColumnType.BOOLEAN:
            likely = cell.lower() in ("true", "false")
        case ColumnType.PLACE:
            likely = _PLACE.fullmatch(cell) is not None
        case ColumnType.LIST:
            # In a sentence, a space follows a semicolon.
            return all(part and part == part.strip() for part in cell.split(";"))
    if likely:
        try:
            value_of(kind, cell)
        except ValueError:
            return False
    return likely


# The first that all cells of a column look like is its type.
_GUESSES = (
    ColumnType.BOOLEAN,
    ColumnType.INTEGER,
    ColumnType.NUMBER,
    ColumnType.DATE,
    ColumnType.PLACE,
    ColumnType.LIST,
)


class _Column:
    """What the cells of a column can be, and the first one that no longer could be each type."""

    def __init__(self, stated: ColumnType | None) -> None:
        self.stated = stated
        self.guesses = list(_GUESSES)
        self.fits_field = True
        self.refused: dict[ColumnType, tuple[int, str]] = {}
        self.found = self.separated = False

    def observe(self, line: int, cell: str, field: ColumnType | None) -> None:
        self.found = True
        self.separated = self.separated or ";" in cell
        for kind in list(self.guesses):
            if not _looks_like(kind, cell):
                self.guesses.remove(kind)
                self.refused[kind] = (line, cell)
        if field is not None and self.fits_field:
            try:
                value_of(field, cell)
            except ValueError:
                self.fits_field = False

    @property
    def guessed(self) -> ColumnType:
        for kind in self.guesses:
            if kind is not ColumnType.LIST or self.separated:
                return kind
        return ColumnType.TEXT


class Columns:
    """The columns of a manifest with their types, once `observe` has seen all rows.

    `types` are those of the columns that have any value, by the name of the field; `notes` says
    what was decided that its author may not expect.
    """

    def __init__(self, headings: Sequence[str], always_text: Iterable[str]) -> None:
        """Take the names in the first line, some of which are texts whatever they look like.

        Raises ValueError if one is there twice.
        """
        self._always_text = frozenset(always_text)
        self._columns: dict[str, _Column] = {}
        self._names: dict[str, str] = {}
        for heading in headings:
            name, stated = stated_type(heading)
            stated = ColumnType.TEXT if name in self._always_text else stated
            if name in self._names.values():
                raise ValueError(f"it names the column {name!r} twice")
            self._names[heading] = name
            self._columns[heading] = _Column(stated)
        self._fields: dict[str, str] = {}
        self._pair: tuple[str, str] | None = None
        self._odd_place = False
        self.types: dict[str, ColumnType] = {}
        self.notes: list[str] = []

    def observe(self, line: int, cells: Mapping[str, str]) -> None:
        """Take a row into account; raises ValueError for a cell that is not of a stated type."""
        for heading, column in self._columns.items():
            cell = cells[heading].strip()
            if not cell:
                continue
            if column.stated is None:
                column.observe(line, cell, PHOTO_FIELDS.get(self._names[heading]))
                continue
            column.found = True
            try:
                value_of(column.stated, cell)
            except ValueError as error:
                raise ValueError(
                    f"line {line}, column {self._names[heading]!r}: {error}; correct the cell, or"
                    " state another type in the first line"
                ) from None

    def settle(self) -> None:
        """Decide the types."""
        for heading, column in self._columns.items():
            name = field = self._names[heading]
            kind = column.stated or column.guessed
            wanted = PHOTO_FIELDS.get(name)
            if wanted is not None and kind is not wanted and column.found:
                if column.stated is None and column.fits_field:
                    kind = wanted
                else:
                    field = f"manifest_{name}"
                    self.notes.append(
                        f"column {name!r} of the manifest is stored as {field!r}: {name!r} is"
                        f" {described(wanted)}, which photos have themselves"
                    )
            self._fields[heading] = field
            if column.found:
                self.types[field] = kind
        self._find_pair()

    def _find_pair(self) -> None:
        """Take columns of latitudes and longitudes together for places."""
        if "place" in self.types:
            return

        def one_of(names: frozenset[str]) -> list[str]:
            return [
                heading
                for heading, name in self._names.items()
                if name.lower() in names
                and self.types.get(self._fields[heading]) in (ColumnType.INTEGER, ColumnType.NUMBER)
            ]

        latitudes, longitudes = one_of(_LATITUDES), one_of(_LONGITUDES)
        if len(latitudes) == len(longitudes) == 1:
            self._pair = (latitudes[0], longitudes[0])
            self.types["place"] = ColumnType.PLACE

    def is_stated(self, field: str) -> bool:
        """Say whether the first line states the type of a field."""
        return any(
            self._columns[heading].stated is not None
            for heading, name in self._fields.items()
            if name == field
        )

    def why_not(self, field: str, kind: ColumnType) -> str:
        """Return which cell is not of this type, in words; "" if that is not known."""
        for heading, name in self._fields.items():
            if name == field and (cell := self._columns[heading].refused.get(kind)):
                return f"line {cell[0]}: {cell[1][:80]!r} is not {described(kind)}"
        return ""

    def values(self, cells: Mapping[str, str]) -> tuple[dict[str, PayloadValue], str]:
        """Return the values of a row by field, and what is wrong with a cell; "" if nothing is."""
        found: dict[str, PayloadValue] = {}
        problem = ""
        for heading, field in self._fields.items():
            cell = cells.get(heading, "").strip()
            if not cell and field in self._always_text:
                found[field] = ""
            elif cell and field in self.types:
                try:
                    found[field] = value_of(self.types[field], cell)
                except ValueError as error:
                    problem = problem or f"column {field!r} of the manifest: {error}"
        if self._pair is not None:
            latitude, longitude = (cells.get(heading, "").strip() for heading in self._pair)
            if latitude and longitude:
                try:
                    found["place"] = place_value(float(latitude), float(longitude))
                except ValueError as error:
                    if not self._odd_place:
                        self.notes.append(f"left out, of one photo at least: {error}")
                    self._odd_place = True
        return found, problem
