"""A source that is a folder: on this machine, in a zip file, or on a server.

A photo's landmark is the name of the first-level sub-folder that it is in; a photo directly in the
folder has none.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import Any

from landmarks.errors import ForbiddenError, InvalidInputError, NotFoundError
from landmarks.photos.entry import Entry, entry_below, path_problem, printable
from landmarks.photos.location import Location
from landmarks.photos.source_errors import read_errors
from landmarks.photos.source_roots import SourceRoots, read_up_to
from landmarks.photos.web_pages import links_below

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jfif"}
)
_WEB_DEPTH = 16
# Of a web server's page: room for hundreds of thousands of links.
_PAGE_BYTES = 64 * 1024 * 1024


class Folder:
    """Lists the photos of a folder and of those in it. Hidden files and folders are skipped."""

    kind = "folder"
    emptiness = f"no file in it ends with {', '.join(sorted(IMAGE_EXTENSIONS))}"

    def __init__(self, roots: SourceRoots, location: Location) -> None:
        self._roots = roots
        self._location = location

    def entries(self) -> Iterator[Entry]:
        """List the photos, in a constant order; raises as `SourceRoots.read`."""
        if self._location.inside is not None:
            yield from self._members()
        elif self._location.is_web:
            yield from self._web("", 0)
        elif self._location.is_remote:
            with read_errors(self._location):
                files, root = self._roots.files(self._location)
                for name in _files(files, root):
                    yield from self._stored(name, posixpath.relpath(name, root))
        else:
            yield from self._walk("", ())

    def _members(self) -> Iterator[Entry]:
        """List a folder of a zip file."""
        root = self._location.inside
        with read_errors(self._location), self._roots.archive(self._location) as archive:
            names = [name for name in archive.names if not name.endswith("/")]
        for name in sorted(names, key=_files_first):
            if not root:
                yield from self._stored(name, name)
            elif posixpath.normpath(name).startswith(root + "/"):
                yield from self._stored(name, posixpath.relpath(name, root))

    def _stored(self, name: str, path: str) -> Iterator[Entry]:
        """Yield the entry of a stored object or member of a zip file, if it is a photo."""
        plain = posixpath.normpath(path)
        if (plain != path or posixpath.normpath(name) != name) and is_photo(plain):
            # As `tar -a` makes zip files.
            yield Entry(plain, "", problem=f"it is called {name!r}; pack it without . or //")
        elif not path_problem(path) and is_photo(path):
            yield self._entry(path)

    def _entry(self, path: str) -> Entry:
        return entry_below(self._roots, self._location, path, _first_folder(path), {})

    def _web(self, folder: str, depth: int) -> Iterator[Entry]:
        """List a folder of a web server, and those in it, by the links on their pages."""
        # With a slash: a server would redirect to that, and redirects are refused.
        here = self._location.below(folder) if folder else self._location
        here = Location(here.protocol, here.path + "/")
        try:
            with self._roots.open(here, whole=True) as file, read_errors(here):
                page = read_up_to(file, _PAGE_BYTES).decode(errors="replace")
        except (NotFoundError, InvalidInputError) as error:
            if not folder:
                raise
            yield Entry(folder, "", problem=f"it cannot be listed: {error}")
            return
        for link in links_below(page, here.path):
            path = posixpath.join(folder, link)
            if not path.endswith("/"):
                if not path_problem(path) and is_photo(path):
                    yield self._entry(path)
            elif depth < _WEB_DEPTH and not _is_hidden(path):
                yield from self._web(path.rstrip("/"), depth + 1)

    def _walk(self, relative: str, above: tuple[str, ...]) -> Iterator[Entry]:
        """List a local folder and those in it; `above` are the resolved folders it is in."""
        here = self._location.below(relative) if relative else self._location
        try:
            with self._roots.folder(here) as (resolved, descriptor):
                if resolved in above:
                    return  # a link to a folder that this one is in
                with os.scandir(descriptor) as found:
                    items = sorted(found, key=lambda item: item.name)
                looked_at = [
                    (item.name, *_looked_at(item, descriptor))
                    for item in items
                    if not item.name.startswith(".")
                ]
        except (OSError, ForbiddenError) as error:
            if relative:  # what is in it is not known; the rest is
                yield Entry(printable(relative), "", problem=_why(error))
                return
            with read_errors(self._location):
                raise
        for name, is_folder, problem in looked_at:
            path = posixpath.join(relative, name)
            if problem and not is_photo(name):
                # It may be a folder of photos; that there are none is not known.
                yield Entry(printable(path), "", problem=problem)
            elif is_folder:
                yield from self._walk(path, (*above, resolved))
            elif is_photo(name):
                if printable(path) != path:
                    yield Entry(printable(path), "", problem="its name is not UTF-8")
                else:
                    yield self._entry(path)


def _looked_at(item: os.DirEntry[str], folder: int) -> tuple[bool, str]:
    """Return whether something is a folder, and if that cannot be found out, why.

    Only a link costs a call to the file system. A file named like a photo reports why it cannot be
    read when it is read.
    """
    try:
        is_folder = item.is_dir()
        if item.is_symlink() and not is_folder:
            os.stat(item.name, dir_fd=folder)
    except OSError as error:
        where = "it is a link that cannot be followed" if item.is_symlink() else "it cannot be read"
        return False, f"{where}: {error.strerror}"
    return is_folder, ""


def _why(error: OSError | ForbiddenError) -> str:
    if isinstance(error, ForbiddenError):
        return "it is a link out of the roots"
    return f"it cannot be read: {error.strerror}"


def _files_first(name: str) -> list[tuple[bool, str]]:
    """Return what members of a zip file are sorted by: a folder's files, then its folders."""
    *folders, last = name.split("/")
    return [*((True, folder) for folder in folders), (False, last)]


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


def is_photo(path: str) -> bool:
    """Say whether a path is named like a photo, and not hidden."""
    return not _is_hidden(path) and posixpath.splitext(path)[1].lower() in IMAGE_EXTENSIONS


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _first_folder(path: str) -> str | None:
    first, separator, _ = path.partition("/")
    return first if separator else None
