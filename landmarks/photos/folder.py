"""A source that is a folder: on this machine, in a zip file, or on a server.

Its files are sorted by their names: photos, and what is skipped and counted. A photo's label comes
from the folders that it is in, as the rules of the job say.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from landmarks.errors import ForbiddenError, InvalidInputError, NotFoundError
from landmarks.photos.companions import sort_files
from landmarks.photos.entry import Entry, entry_below, path_problem, printable
from landmarks.photos.file_types import IMAGE_EXTENSIONS, SkipReason, folder_reason
from landmarks.photos.labels import ListingRules, ignore_rule, label_rule
from landmarks.photos.listing_counts import SkipCounts, in_words
from landmarks.photos.local_items import LocalItem, looked_at, why_not
from landmarks.photos.location import Location
from landmarks.photos.source_errors import read_errors
from landmarks.photos.source_roots import SourceRoots, read_up_to
from landmarks.photos.web_pages import links_below

_WEB_DEPTH = 16
_TAKEOUT = "Takeout"
# Of a web server's page: room for hundreds of thousands of links.
_PAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class _File:
    """A file: its name as it is stored, its path below the source, and that as its maker meant it.

    Points' ids are made of the second, which is one thing for ever; labels of the third.
    """

    name: str
    path: str
    readable: str


@dataclass(frozen=True)
class _Level:
    """A local folder that is being listed; `resolved` is its path without links."""

    path: str
    resolved: str
    items: Iterator[LocalItem]
    photos: Mapping[str, Sequence[str]]  # their sidecars
    skipped: Mapping[str, SkipReason]


class Folder:
    """Lists the photos of a folder and of those in it; raises InvalidInputError for unfit rules.

    Once it is listed, `skipped` counts what was passed over, and `notes` says what else matters.
    """

    kind = "folder"

    def __init__(
        self, roots: SourceRoots, location: Location, rules: ListingRules | None = None
    ) -> None:
        rules = rules or ListingRules()
        self._roots = roots
        self._location = location
        self._label = label_rule(rules.label)
        self._is_ignored = ignore_rule(rules.ignore)
        self._raw_too = rules.raw_too
        self.skipped = SkipCounts()
        self.notes: tuple[str, ...] = ()

    @property
    def emptiness(self) -> str:
        """Why it has no photo, once it is listed."""
        skipped = in_words(self.skipped.counts())
        ends = f"no file in it ends with {', '.join(sorted(IMAGE_EXTENSIONS))}"
        return f"{ends}; skipped: {skipped}" if skipped else ends

    def entries(self) -> Iterator[Entry]:
        """List the photos, in a constant order; raises as `SourceRoots.read`."""
        self.skipped, self.notes = SkipCounts(), ()
        if self._location.inside is not None:
            yield from self._members(self._location.inside)
        elif self._location.is_web:
            yield from self._web()
        elif self._location.is_remote:
            yield from self._remote()
        else:
            yield from self._local()

    # On this machine

    def _local(self) -> Iterator[Entry]:
        with read_errors(self._location):
            levels = [self._level("")]
        while levels:  # without recursion: folders may be deeper than Python's stack
            level = levels[-1]
            item = next(level.items, None)
            if item is None:
                levels.pop()
                continue
            path = posixpath.join(level.path, item.name)
            if item.is_folder:
                if reason := self._folder_reason(item.name):
                    self.skipped.add(reason, printable(path), is_folder=True)
                    continue
                try:
                    # Without a link, it need not be looked for: the deeper, the longer that takes.
                    resolved = posixpath.join(level.resolved, item.name)
                    below = self._level(path, "" if item.is_link else resolved)
                except (OSError, ForbiddenError) as error:
                    # What is in it is not known; the rest is.
                    yield Entry(printable(path), "", problem=why_not(error))
                else:
                    # Else it is a link to a folder that this one is in.
                    if all(one.resolved != below.resolved for one in levels):
                        levels.append(below)
            elif item.name in level.photos:
                if printable(path) != path:
                    yield Entry(printable(path), "", problem="its name is not UTF-8")
                else:
                    sidecars = (posixpath.join(level.path, one) for one in level.photos[item.name])
                    readable = [one for one in sidecars if printable(one) == one]
                    yield self._entry(_File(path, path, path), readable)
            elif item.problem:
                # It may be a folder of photos; that there are none is not known.
                yield Entry(printable(path), "", problem=item.problem)
            else:
                self.skipped.add(level.skipped[item.name], printable(path))

    def _level(self, path: str, known: str = "") -> _Level:
        location = self._location.below(path) if path else self._location
        with self._roots.folder(location, known) as (resolved, descriptor):
            with os.scandir(descriptor) as found:
                ordered = sorted(found, key=lambda item: item.name)
            items = [looked_at(item, descriptor) for item in ordered]
        files = sort_files((one.name for one in items if not one.is_folder), raw_too=self._raw_too)
        return _Level(path, resolved, iter(items), files.photos, files.skipped)

    # In a zip file

    def _members(self, root: str) -> Iterator[Entry]:
        with read_errors(self._location), self._roots.archive(self._location) as archive:
            members = archive.files()
        depth = root.count("/") + 1 if root else 0
        files = []
        for name, readable in sorted(members, key=lambda member: _files_first(member[1])):
            if not root:
                files.append(_File(name, name, readable))
            elif posixpath.normpath(name).startswith(root + "/"):
                below = posixpath.normpath(readable).split("/")[depth:]
                files.append(_File(name, posixpath.relpath(name, root), "/".join(below)))
        yield from self._sorted(files, within_top=not root)

    # On a server

    def _remote(self) -> Iterator[Entry]:
        with read_errors(self._location):
            files, root = self._roots.files(self._location)
            for names in self._folders(files, root):
                paths = [(name, posixpath.relpath(name, root)) for name in names]
                yield from self._sorted(_File(name, path, path) for name, path in paths)

    def _folders(self, files: Any, root: str) -> Iterator[list[str]]:  # noqa: ANN401 - fsspec has no types
        """Yield the files of each folder below one.

        Not by fsspec's `walk`, for which a folder that cannot be listed is an empty one.
        """
        pending = [root]
        while pending:
            folder = pending.pop()
            found = sorted(files.ls(folder, detail=True), key=lambda one: str(one["name"]))
            folders = []
            names = []
            for one in found:
                name = str(one["name"]).rstrip("/")
                if one["type"] != "directory":
                    names.append(name)
                elif name == folder.rstrip("/"):
                    continue  # some list the folder itself too
                elif reason := self._folder_reason(posixpath.basename(name)):
                    self.skipped.add(reason, posixpath.relpath(name, root), is_folder=True)
                else:
                    folders.append(name)
            yield names
            pending += reversed(folders)

    def _web(self) -> Iterator[Entry]:
        """List a folder of a web server, and those in it, by the links on their pages."""
        pending = [("", 0)]
        while pending:
            folder, depth = pending.pop()
            try:
                links = self._links(folder)
            except (NotFoundError, InvalidInputError) as error:
                if not folder:
                    raise
                yield Entry(folder, "", problem=f"it cannot be listed: {error}")
                continue
            paths = [posixpath.join(folder, link) for link in links]
            yield from self._sorted(_File(one, one, one) for one in paths if not one.endswith("/"))
            folders = []
            for path in (one.rstrip("/") for one in paths if one.endswith("/")):
                reasons = [self._folder_reason(part) for part in path.split("/")]
                if reason := next(filter(None, reasons), None):
                    self.skipped.add(reason, path, is_folder=True)
                elif depth >= _WEB_DEPTH:
                    problem = f"it is not listed, as it is more than {_WEB_DEPTH} folders deep"
                    yield Entry(path, "", problem=problem)
                else:
                    folders.append((path, depth + 1))
            pending += reversed(folders)

    def _links(self, folder: str) -> list[str]:
        # With a slash: a server would redirect to that, and redirects are refused.
        here = self._location.below(folder) if folder else self._location
        here = Location(here.protocol, here.path + "/")
        with self._roots.open(here, whole=True) as file, read_errors(here):
            page = read_up_to(file, _PAGE_BYTES).decode(errors="replace")
        return links_below(page, here.path)

    # All of them

    def _sorted(self, files: Iterable[_File], *, within_top: bool = False) -> Iterator[Entry]:
        """Yield the photos among some files, folder by folder; count the others.

        `within_top`: where one folder has all others in it, labels are of those below that.
        """
        folders: dict[str, dict[str, list[_File]]] = {}
        for file in files:
            plain = posixpath.normpath(file.readable)
            *above, name = plain.split("/")
            if path_problem(file.path) or path_problem(plain):
                self.skipped.add(SkipReason.OUTSIDE, file.path)
            elif reason := next(filter(None, map(self._folder_reason, above)), None):
                self.skipped.add(reason, file.path)
            else:
                named = folders.setdefault("/".join(above), {})
                named.setdefault(name, []).append(file)
        sorted_files = {
            folder: sort_files(named, raw_too=self._raw_too) for folder, named in folders.items()
        }
        inner = _top(one for one, found in sorted_files.items() if found.photos)
        below = inner if within_top else ""
        if below:
            self.notes = (f"labels are of the folders in {below!r}, as all photos are in it",)
        for folder, named in folders.items():
            found = sorted_files[folder]
            for name, reason in found.skipped.items():
                for file in named[name]:
                    self.skipped.add(reason, file.path)
            for name, beside in found.photos.items():
                sidecars = [file.path for one in beside for file in named[one]]
                for file in named[name]:
                    plain = posixpath.normpath(file.path)
                    if plain != file.path or posixpath.normpath(file.name) != file.name:
                        # As `tar -a` makes zip files.
                        problem = f"it is called {file.name!r}; pack it without . or //"
                        yield Entry(plain, "", problem=problem)
                    else:
                        yield self._entry(file, sidecars, below)

    def _entry(self, file: _File, sidecars: Sequence[str], below: str = "") -> Entry:
        folders = posixpath.dirname(file.readable).removeprefix(below).strip("/")
        landmark = self._label(folders.split("/") if folders else [])
        entry = entry_below(self._roots, self._location, file.path, landmark, {})
        return replace(entry, sidecars=tuple(sidecars)) if sidecars else entry

    def _folder_reason(self, name: str) -> SkipReason | None:
        return folder_reason(name) or (SkipReason.IGNORED if self._is_ignored(name) else None)


def _files_first(name: str) -> list[tuple[bool, str]]:
    """Return what members of a zip file are sorted by: a folder's files, then its folders."""
    *folders, last = name.split("/")
    return [*((True, folder) for folder in folders), (False, last)]


def _top(folders: Iterable[str]) -> str:
    """Return the folder that has all others with photos in it; "" if there is none."""
    present = set(folders)
    tops = {folder.partition("/")[0] for folder in present}
    if len(tops) != 1 or present == tops:
        return ""
    top = tops.pop()
    # Google's exports have "Google Photos" in it, in the user's language, and the albums in that.
    further = _top(one.partition("/")[2] for one in present) if top == _TAKEOUT else ""
    return posixpath.join(top, further) if further else top
