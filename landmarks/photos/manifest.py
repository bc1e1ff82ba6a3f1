"""A source that is a manifest: a CSV file with a photo in each row.

It has the columns `path`, relative to the manifest's folder, and `landmark`, and any others.
"""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from landmarks.errors import InvalidInputError
from landmarks.photos.entry import Entry, entry_below, path_problem
from landmarks.photos.location import Location
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.text_lines import short_lines

SPLIT = "split"
_COLUMNS = ("path", "landmark")
_MOST_NAMED = 20


def is_manifest(location: Location) -> bool:
    """Say whether a location is a manifest, by its name."""
    return (location.inside or location.path).lower().endswith(".csv")


class Manifest:
    """Lists the photos of a manifest's rows; with `splits`, only of the rows of these."""

    emptiness = "the manifest has no rows"

    def __init__(self, roots: SourceRoots, location: Location, splits: Sequence[str]) -> None:
        self._roots = roots
        self._location = location
        self._folder = location.parent()
        self._splits = frozenset(splits)

    def entries(self) -> Iterator[Entry]:
        """List the photos in the order of the rows.

        Raises InvalidInputError if it is not a CSV file with these columns, or no row has a split.
        """
        uri = self._location.uri
        with self._roots.open(self._location) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            rows = csv.DictReader(short_lines(lines, uri))
            try:
                self._check_header(rows.fieldnames or ())
                yield from self._rows(rows)
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"{uri} is not UTF-8: {error}", field="source") from error
            except csv.Error as error:
                raise InvalidInputError(
                    f"{uri} is not CSV: line {rows.line_num}: {error}", field="source"
                ) from error

    def _check_header(self, names: Sequence[str]) -> None:
        uri = self._location.uri
        for column in _COLUMNS:
            if column not in names:
                raise InvalidInputError(
                    f"the manifest {uri} has no column {column!r}; its first line must name"
                    f" {' and '.join(_COLUMNS)}, separated by commas, and it names:"
                    f" {', '.join(names)[:200] or 'nothing'}",
                    field="source",
                )
        if len(set(names)) < len(names):
            raise InvalidInputError(f"the manifest {uri} names a column twice", field="source")
        if self._splits and SPLIT not in names:
            raise InvalidInputError(
                f"splits were requested, but the manifest {uri} has no column {SPLIT!r}",
                field="splits",
            )

    def _rows(self, rows: csv.DictReader[str]) -> Iterator[Entry]:
        present: set[str] = set()
        chosen = 0
        for row in rows:
            split = row.get(SPLIT) or ""
            if self._splits and split not in self._splits:
                if len(present) < _MOST_NAMED:
                    present.add(split)
                continue
            chosen += 1
            yield self._entry(row, rows.line_num)
        if not chosen and present:
            raise InvalidInputError(
                f"no row of {self._location.uri} has a split of {', '.join(sorted(self._splits))};"
                f" there are: {', '.join(sorted(present))}",
                field="splits",
            )

    def _entry(self, row: Mapping[str | None, object], line: int) -> Entry:
        cells = {name: str(value or "") for name, value in row.items() if name is not None}
        given = cells.pop("path").strip()
        landmark = cells.pop("landmark").strip() or None
        if None in row:
            problem = f"line {line} of the manifest has more cells than the first line"
        elif not given:
            problem = f"line {line} of the manifest has no path"
        else:
            problem = path_problem(given)
        if problem:
            return Entry(given or f"line {line}", "", landmark, cells, problem)
        return entry_below(self._roots, self._folder, posixpath.normpath(given), landmark, cells)
