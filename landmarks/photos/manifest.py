"""A source that is a manifest: a CSV file with a photo in each row.

It has the columns `path`, relative to the manifest's folder, and `landmark`, and any others, each
of one type: see `columns`. They are separated by commas, semicolons or tabs, as the first line is.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import cast

from landmarks.errors import InvalidInputError
from landmarks.photos.columns import Columns
from landmarks.photos.entry import Entry, entry_below, path_problem
from landmarks.photos.file_types import is_photo
from landmarks.photos.labels import normal
from landmarks.photos.location import Location
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.text_lines import short_lines

SPLIT = "split"
_COLUMNS = ("path", "landmark")
_SEPARATORS = (",", ";", "\t")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_MOST_NAMED = 20


def is_manifest(location: Location) -> bool:
    """Say whether a location is a manifest, by its name."""
    return (location.inside or location.path).lower().endswith(".csv")


@dataclass(frozen=True)
class _Row:
    """A row, by the line on which it begins; `too_long` if the header has fewer cells."""

    line: int
    cells: dict[str, str]
    too_long: bool


class Manifest:
    """Lists the photos of a manifest's rows; with `splits`, only of the rows of these.

    Once it is listed, `notes` says what was left out, and `doubt` why rows may be missing.
    """

    kind = "manifest"
    emptiness = "the manifest has no rows"

    def __init__(self, roots: SourceRoots, location: Location, splits: Sequence[str]) -> None:
        self._roots = roots
        self._location = location
        self._folder = location.parent()
        self._splits = frozenset(splits)
        self._separator = ","
        self._left_out: tuple[str, ...] = ()
        self._columns: Columns | None = None
        self.doubt = ""

    def entries(self) -> Iterator[Entry]:
        """List the photos in the order of the rows.

        Raises InvalidInputError if it is not a CSV file with these columns, a quote in it is not
        closed, no row has a split, or a cell is not of its column's stated type.
        """
        for row in self._rows(self.columns):
            yield self._entry(row, self.columns)

    @property
    def columns(self) -> Columns:
        """Its columns, with the types that the whole file shows; raises as `entries`."""
        if self._columns is None:
            self.check()
        return cast("Columns", self._columns)  # which the check has set

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and what was decided, in words."""
        return (*self._left_out, *(self._columns.notes if self._columns else ()))

    def check(self) -> None:
        """Read it to its end; raises as `entries`.

        So a manifest with a fault is refused before a photo of it is indexed.
        """
        for _ in self._rows(None):
            pass

    def _rows(self, columns: Columns | None) -> Iterator[_Row]:
        """Yield the rows; without `columns`, find their types, which takes all rows."""
        uri = self._location.uri
        with self._roots.open(self._location) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            try:
                texts = short_lines(lines, uri)
                first = next(texts, "")
                self._separator = _separator(first)
                rows = self._numbered(chain([first], texts))
                _, names = next(rows, (1, []))
                names = [name.strip() for name in names]
                self._check_header(names)
                found = None if columns else self._untyped(names)
                yield from self._chosen(names, rows, found)
                if found is not None:
                    found.settle()
                    self._columns = found
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"{uri} is not UTF-8: {error}", field="source") from error

    def _numbered(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield each row that is not blank, with the number of the line on which it begins."""
        # Strict: else a quote that is not closed takes the rows after it into its cell.
        reader = csv.reader(lines, strict=True, delimiter=self._separator)
        while True:
            begins = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                reason = str(error)
                if reader.line_num > begins or "end of data" in reason:
                    raise self._open_quote(begins) from error
                raise InvalidInputError(
                    f"{self._location.uri} is not CSV: line {begins}: {reason}", field="source"
                ) from error
            if row is None:
                return
            if any(cell.strip() for cell in row):
                yield begins, row

    def _open_quote(self, line: int) -> InvalidInputError:
        return InvalidInputError(
            f"{self._location.uri}, line {line}: a quote is opened there and not closed, so the"
            ' rows after it would be lost; close it, or write "" for a quote inside a cell',
            field="source",
        )

    def _check_header(self, names: Sequence[str]) -> None:
        uri = self._location.uri
        for column in _COLUMNS:
            if column not in names:
                raise InvalidInputError(
                    f"the manifest {uri} has no column {column!r}; its first line must name"
                    f" {' and '.join(_COLUMNS)}, separated by commas, semicolons or"
                    f" tabs, and it names: {', '.join(names)[:200] or 'nothing'}",
                    field="source",
                )
        named = [name for name in names if name.strip()]
        if len(set(named)) < len(named):
            raise InvalidInputError(f"the manifest {uri} names a column twice", field="source")
        if self._splits and SPLIT not in names:
            raise InvalidInputError(
                f"splits were requested, but the manifest {uri} has no column {SPLIT!r}",
                field="splits",
            )
        if nameless := [str(place) for place, name in enumerate(names, 1) if not name.strip()]:
            self._left_out = (
                f"left out: column {', '.join(nameless)} of the manifest, which its first line"
                " does not name",
            )

    def _untyped(self, names: Sequence[str]) -> Columns:
        headings = [name for name in names if name not in _COLUMNS and name.strip()]
        try:
            return Columns(headings, always_text=(SPLIT, *_COLUMNS))
        except ValueError as error:
            raise InvalidInputError(
                f"the manifest {self._location.uri} cannot be used: {error}", field="source"
            ) from error

    def _chosen(
        self,
        names: Sequence[str],
        rows: Iterable[tuple[int, list[str]]],
        untyped: Columns | None,
    ) -> Iterator[_Row]:
        present: set[str] = set()
        chosen = 0
        for line, cells_of_row in rows:
            row = _without_empty_end(cells_of_row, len(names))
            if any("\n" in cell or "\r" in cell for cell in row):
                self._check_breaks(names, line, row)
            if len(row) < len(names):
                self.doubt = f"line {line} of the manifest has fewer cells than the first line"
            cells = dict(zip_longest(names, row[: len(names)], fillvalue=""))
            if untyped is not None:
                self._observe(untyped, line, cells)
            split = cells.get(SPLIT) or ""
            if self._splits and split not in self._splits:
                if len(present) < _MOST_NAMED:
                    present.add(split)
                continue
            chosen += 1
            yield _Row(line, cells, too_long=len(row) > len(names))
        if not chosen and present:
            raise InvalidInputError(
                f"no row of {self._location.uri} has a split of {', '.join(sorted(self._splits))};"
                f" there are: {', '.join(sorted(present))}",
                field="splits",
            )

    def _observe(self, untyped: Columns, line: int, cells: Mapping[str, str]) -> None:
        # Rows of other splits too: each split alone must not have types of its own.
        try:
            untyped.observe(line, cells)
        except ValueError as error:
            raise InvalidInputError(f"{self._location.uri}, {error}", field="source") from error

    def _check_breaks(self, names: Sequence[str], line: int, row: Sequence[str]) -> None:
        """Raise InvalidInputError if line breaks in cells come from a quote closed by another."""
        place = list(names).index("path")
        for name, cell in zip(names, row, strict=False):
            further = [one.split(self._separator) for one in cell.strip().splitlines()[1:]]
            paths = [cells[place].strip('" ') for cells in further if len(cells) > place]
            if (name in _COLUMNS and further) or any(map(is_photo, paths)):
                raise self._open_quote(line)

    def _entry(self, row: _Row, typed: Columns) -> Entry:
        given = self._with_slashes(row.cells["path"].strip())
        landmark = normal(row.cells["landmark"])
        columns, odd = typed.values(row.cells)
        if row.too_long:
            problem = f"line {row.line} of the manifest has more cells than the first line"
        elif not given:
            problem = f"line {row.line} of the manifest has no path"
        elif _DRIVE.match(given):
            problem = "its path begins with a drive; paths are relative to the manifest's folder"
        else:
            problem = path_problem(given) or odd
        if problem:
            return Entry(given or f"line {row.line}", "", landmark, columns, problem)
        return entry_below(self._roots, self._folder, posixpath.normpath(given), landmark, columns)

    def _with_slashes(self, path: str) -> str:
        """Return a path as Windows writes it with `/`, unless a file has just that name."""
        if "\\" not in path or "/" in path or "\0" in path:
            return path
        local = not self._folder.is_remote and self._folder.inside is None
        if local and os.path.lexists(self._folder.below(path).path):
            return path
        return path.replace("\\", "/")


def _separator(header: str) -> str:
    """Return what separates the columns that a first line names."""
    for separator in _SEPARATORS:
        names = [name.strip(' "\r\n') for name in header.split(separator)]
        if set(_COLUMNS) <= set(names):
            return separator
    return _SEPARATORS[0]


def _without_empty_end(row: list[str], length: int) -> list[str]:
    """Return a row without empty cells after the last column, as spreadsheets write."""
    return row if any(cell.strip() for cell in row[length:]) else row[:length]
