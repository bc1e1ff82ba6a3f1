"""Sources of photos: a folder, a manifest (CSV) or a list (text), below allowed roots.

In a folder, a photo's landmark is the name of the first-level sub-folder that it is in; a photo
directly in the folder has none. A manifest has the columns `path` (relative to the manifest's
folder) and `landmark`, and any others. A list has an address of a photo in each line.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from landmarks.errors import ForbiddenError, InvalidInputError, LandmarksError, NotFoundError
from landmarks.photos.source_roots import Location, SourceRoots, parse_location, reading_failures

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jfif"}
)
_MANIFEST_COLUMNS = ("path", "landmark")
_SPLIT = "split"
_LIST_SUFFIX = ".txt"
_WEB_DEPTH = 16
_MAX_LINE = 1_000_000


@dataclass(frozen=True)
class Entry:
    """One photo that a source lists.

    `path` is relative to the source's root, with `/`. `columns` are the manifest's others.
    `problem` says why the photo cannot be read, where that is known already; `uri` is empty then.
    """

    path: str
    uri: str
    landmark: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class Source:
    """A source that has been found to exist. `name` stands for it in points' ids by default."""

    def __init__(self, roots: SourceRoots, location: Location, splits: Sequence[str]) -> None:
        self._roots = roots
        self._location = location
        self._splits = frozenset(splits)
        self._web = location.is_web
        self._is_manifest = _is_manifest(location)
        self._is_list = _is_list(location)
        self._root = location.parent() if self._is_manifest else location
        name = self._root.name
        self.name = (name.removesuffix(_LIST_SUFFIX) if self._is_list else name) or "source"

    def entries(self) -> Iterator[Entry]:
        """List the photos, in a constant order, as they are found.

        Raises InvalidInputError where there is none, or the manifest cannot be used.
        """
        found = False
        for entry in self._listed():
            found = True
            yield entry
        if not found:
            raise InvalidInputError(
                f"{self._location.uri} has no photos: {self._emptiness()}", field="source"
            )

    def check(self) -> None:
        """Look for the first photo; raises as `entries`."""
        next(iter(self.entries()))

    def _emptiness(self) -> str:
        if self._is_manifest:
            return "the manifest has no rows"
        if self._is_list:
            return "the list has no addresses"
        return f"no file in it ends with {', '.join(sorted(IMAGE_EXTENSIONS))}"

    def _listed(self) -> Iterator[Entry]:
        if self._is_manifest:
            return self._manifest()
        if self._splits:
            kind = "list" if self._is_list else "folder"
            raise InvalidInputError(
                f"splits were asked for, but {self._location.uri} is a {kind}; only a manifest"
                f" with a column {_SPLIT!r} has splits",
                field="splits",
            )
        return self._lines() if self._is_list else self._folder()

    # Lists

    def _lines(self) -> Iterator[Entry]:
        with (
            self._roots.open(self._location) as file,
            io.TextIOWrapper(file, encoding="utf-8-sig") as lines,
        ):
            try:
                for number, line in enumerate(self._short(lines), 1):
                    address = line.strip()
                    if address and not address.startswith("#"):
                        yield self._addressed(address, number)
            except UnicodeDecodeError as error:
                raise InvalidInputError(
                    f"{self._location.uri} is not UTF-8: {error}", field="source"
                ) from error

    def _addressed(self, address: str, number: int) -> Entry:
        path, uri, problem = _printable(address), "", ""
        try:
            location = parse_location(address)
            # Two servers may have a photo of the same path. It is the same whether or not it may be
            # read now.
            path = location.uri.partition("://")[2].lstrip("/")
            path = unquote(path) if location.is_web else path
            self._roots.check(location)
            uri = location.uri
        except LandmarksError as error:
            problem = f"line {number} of the list: {error}"
        return Entry(path, uri, problem=problem)

    def _short(self, lines: io.TextIOWrapper) -> Iterator[str]:
        """Yield lines; raises InvalidInputError for one that would take much memory."""
        while line := lines.readline(_MAX_LINE + 1):
            if len(line) > _MAX_LINE:
                raise InvalidInputError(
                    f"{self._location.uri} has a line of more than {_MAX_LINE:,} characters",
                    field="source",
                )
            yield line

    # Manifests

    def _manifest(self) -> Iterator[Entry]:
        uri = self._location.uri
        with self._roots.open(self._location) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            rows = csv.DictReader(self._short(lines))
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
        for column in _MANIFEST_COLUMNS:
            if column not in names:
                raise InvalidInputError(
                    f"the manifest {uri} has no column {column!r}; its first line must name"
                    f" {' and '.join(_MANIFEST_COLUMNS)}, separated by commas, and it names:"
                    f" {', '.join(names)[:200] or 'nothing'}",
                    field="source",
                )
        if len(set(names)) < len(names):
            raise InvalidInputError(f"the manifest {uri} names a column twice", field="source")
        if self._splits and _SPLIT not in names:
            raise InvalidInputError(
                f"splits were asked for, but the manifest {uri} has no column {_SPLIT!r}",
                field="splits",
            )

    def _rows(self, rows: csv.DictReader[str]) -> Iterator[Entry]:
        present: set[str] = set()
        chosen = 0
        for row in rows:
            split = row.get(_SPLIT) or ""
            if self._splits and split not in self._splits:
                if len(present) < 20:
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
            problem = _path_problem(given)
        if problem:
            return Entry(given or f"line {line}", "", landmark, cells, problem)
        path = posixpath.normpath(given)
        return self._checked(path, landmark, cells)

    def _checked(self, path: str, landmark: str | None, columns: Mapping[str, str]) -> Entry:
        location = self._root.below(path)
        try:
            self._roots.check(location)
        except ForbiddenError:
            return Entry(path, "", landmark, columns, "it is a link that leads out of the roots")
        return Entry(path, location.uri, landmark, columns)

    # Folders

    def _folder(self) -> Iterator[Entry]:
        if self._location.protocol == "file" and self._location.inside is None:
            yield from self._walk("", ())
            return
        with (
            reading_failures(self._location),
            self._roots.file_system(self._location) as (files, root),
        ):
            for name in _web_files(files, root + "/") if self._web else _files(files, root):
                path = posixpath.relpath(name, root) if root else name
                if self._web:
                    path = unquote(path)
                plain = posixpath.normpath(path)
                if plain != path and _is_photo(plain):  # as `tar -a` makes zip files
                    yield Entry(
                        plain, "", problem=f"it is called {path!r}; pack it without . or //"
                    )
                elif not _path_problem(path) and _is_photo(path):
                    yield self._checked(path, _first_folder(path), {})

    def _walk(self, relative: str, above: tuple[str, ...]) -> Iterator[Entry]:
        """List a local folder and those in it; `above` are the resolved folders it is in."""
        folder = os.path.join(self._root.path, relative)  # noqa: PTH118 - names may be no text
        resolved = os.path.realpath(folder)
        if resolved in above:
            return  # a link to a folder that this one is in
        try:
            with os.scandir(folder) as found:
                items = sorted(found, key=lambda item: item.name)
        except OSError as error:
            if relative:  # what is in it is not known; the rest is
                problem = f"it cannot be read: {error.strerror}"
                yield Entry(_printable(relative), "", problem=problem)
                return
            with reading_failures(self._location):
                raise
        for item in items:
            path = posixpath.join(relative, item.name)
            if item.name.startswith("."):
                continue
            is_folder, problem = _looked_at(item)
            if problem and not _is_photo(item.name):
                # It may be a folder of photos; that there are none is not known.
                yield Entry(_printable(path), "", problem=problem)
            elif is_folder:
                if item.is_symlink() and self._leads_out(path):
                    yield Entry(_printable(path), "", problem="it is a link out of the roots")
                else:
                    yield from self._walk(path, (*above, resolved))
            elif _is_photo(item.name):
                if _printable(path) != path:
                    yield Entry(_printable(path), "", problem="its name is not UTF-8")
                else:
                    yield self._checked(path, _first_folder(path), {})

    def _leads_out(self, path: str) -> bool:
        try:
            self._roots.check(self._root.below(path))
        except ForbiddenError:
            return True
        return False


def _looked_at(item: os.DirEntry[str]) -> tuple[bool, str]:
    """Return whether something is a folder, and why that cannot be told, if so.

    Only a link costs a question to the file system. What is called like a photo says by itself,
    when it is read, why it cannot be.
    """
    try:
        is_folder = item.is_dir()
        if item.is_symlink() and not is_folder:
            os.stat(item.path)  # noqa: PTH116 - a path, not a Path
    except OSError as error:
        where = "it is a link that cannot be followed" if item.is_symlink() else "it cannot be read"
        return False, f"{where}: {error.strerror}"
    return is_folder, ""


class Sources:
    """Opens sources below the allowed roots."""

    def __init__(self, roots: SourceRoots) -> None:
        self._roots = roots

    def open(self, source: str, splits: Sequence[str] = ()) -> Source:
        """Return the source that a path or URI names.

        Raises ForbiddenError outside the roots, NotFoundError where it does not exist,
        InvalidInputError where it is neither a folder, a manifest nor a list.
        """
        location = parse_location(source)
        self._roots.check(location)
        if location.inside is None and location.path.lower().endswith(".zip"):
            location = Location(location.protocol, location.path, "")
        if location.protocol == "file":
            _check_local(location)
        return Source(self._roots, location, splits)

    def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Return the bytes of a photo; raises as `SourceRoots.read`."""
        if entry.problem:
            raise InvalidInputError(entry.problem)
        return self._roots.read(entry.uri, max_bytes)

    def version(self, entry: Entry) -> str:
        """Return what tells whether a photo has changed; see `SourceRoots.version`."""
        return "" if entry.problem else self._roots.version(entry.uri)


def _check_local(location: Location) -> None:
    path = location.path
    if not os.path.exists(path):  # noqa: PTH110 - a path, not a Path
        raise NotFoundError(
            f"the source {location.uri} does not exist; check the path, and that it is mounted"
            " where the service runs"
        )
    is_file = _is_manifest(location) or _is_list(location)
    if location.inside is None and os.path.isdir(path) is is_file:  # noqa: PTH112
        raise InvalidInputError(
            f"the source {location.uri} is neither a folder, a manifest (a .csv file) nor a list of"
            f" addresses (a {_LIST_SUFFIX} file)",
            field="source",
        )


def _files(files: Any, folder: str) -> Iterator[str]:  # noqa: ANN401 - fsspec has no types
    """List the files below a folder, a folder at a time.

    Not by fsspec's `walk`, for which a folder that cannot be listed is an empty one.
    """
    found = sorted(files.ls(folder, detail=True), key=lambda one: str(one["name"]))
    folders = []
    for one in found:
        name = str(one["name"]).rstrip("/")
        if one["type"] != "directory":
            yield name
        elif name != folder.rstrip("/"):  # some list the folder itself too
            folders.append(name)
    for name in folders:
        yield from _files(files, name)


def _web_files(files: Any, folder: str, depth: int = 0) -> Iterator[str]:  # noqa: ANN401 - fsspec
    """List the files that a web server's pages of a folder link to.

    Folders are asked for with a slash: a server would redirect to that, which is not followed.
    """
    for name in sorted(files.ls(folder, detail=False)):
        if not name.endswith("/"):
            yield name
        elif name.startswith(folder) and name != folder and depth < _WEB_DEPTH:
            yield from _web_files(files, name, depth + 1)


def _is_manifest(location: Location) -> bool:
    return (location.inside or location.path).lower().endswith(".csv")


def _is_list(location: Location) -> bool:
    return (location.inside or location.path).lower().endswith(_LIST_SUFFIX)


def _is_photo(path: str) -> bool:
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and posixpath.splitext(path)[1].lower() in IMAGE_EXTENSIONS


def _first_folder(path: str) -> str | None:
    first, separator, _ = path.partition("/")
    return first if separator else None


def _path_problem(path: str) -> str:
    if "\0" in path:
        return "its path has a NUL in it"
    if path.startswith("/"):
        return "its path is absolute; paths are relative to the manifest's folder"
    if "://" in path or "::" in path:
        return "its path is a URI; paths are relative to the manifest's folder"
    if posixpath.normpath(path).split("/")[0] == "..":
        return "its path climbs out of the source's folder"
    return ""


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
