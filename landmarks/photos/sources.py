"""Sources of photos: a folder, a manifest (CSV) or a list (text), below allowed roots."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO

from landmarks.errors import InvalidInputError, NotFoundError
from landmarks.photos.address_list import LIST_SUFFIX, AddressList, is_list
from landmarks.photos.column_types import PayloadValue
from landmarks.photos.entry import Entry
from landmarks.photos.folder import Folder
from landmarks.photos.identity import SourceIdentity, without_links
from landmarks.photos.location import Location, parse_location
from landmarks.photos.manifest import SPLIT, Manifest, is_manifest
from landmarks.photos.metadata.read import FactsWanted, Sidecar, facts_of
from landmarks.photos.source_errors import read_errors
from landmarks.photos.source_roots import SourceRoots


class Source:
    """A source that exists.

    `name` stands for it in points' ids by default; `identity` is what it is, whatever its name.
    Once all entries were listed, `doubt` says why photos may be missing from them, and `notes` what
    was left out besides.
    """

    def __init__(self, roots: SourceRoots, location: Location, splits: Sequence[str]) -> None:
        self._location = location
        self._splits = splits
        self._listing: Folder | Manifest | AddressList
        root = without_links(location).uri
        self.identity = SourceIdentity(root, root)
        if is_manifest(location):
            self._listing = Manifest(roots, location, splits)
            name = location.parent().name
            self.identity = SourceIdentity(root, without_links(location.parent()).uri)
        elif is_list(location):
            self._listing = AddressList(roots, location)
            name = location.name.removesuffix(LIST_SUFFIX)
            self.identity = SourceIdentity(root, "")
        else:
            self._listing = Folder(roots, location)
            name = location.name
        self.name = name or "source"
        self.doubt = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of a manifest, in words."""
        return self._listing.notes if isinstance(self._listing, Manifest) else ()

    def entries(self) -> Iterator[Entry]:
        """List the photos, in a constant order, as they are found.

        Raises InvalidInputError if there is none, or the manifest cannot be used.
        """
        if self._splits and not isinstance(self._listing, Manifest):
            raise InvalidInputError(
                f"splits were requested, but {self._location.uri} is a {self._listing.kind}; only a"
                f" manifest with a column {SPLIT!r} has splits",
                field="splits",
            )
        found = False
        self.doubt = ""
        for entry in self._listing.entries():
            found = True
            if entry.problem:
                self.doubt = self.doubt or f"{entry.path}: {entry.problem}"
            yield entry
        if isinstance(self._listing, Manifest):
            self.doubt = self.doubt or self._listing.doubt
        if not found:
            raise InvalidInputError(
                f"{self._location.uri} has no photos: {self._listing.emptiness}", field="source"
            )

    def check(self) -> None:
        """Look for the first photo, and read a manifest to its end; raises as `entries`."""
        next(iter(self.entries()))
        if isinstance(self._listing, Manifest):
            self._listing.check()


class Sources:
    """Opens sources below the allowed roots."""

    def __init__(self, roots: SourceRoots) -> None:
        self._roots = roots

    def open(self, source: str, splits: Sequence[str] = ()) -> Source:
        """Return the source that a path or URI names.

        Raises ForbiddenError outside the roots, NotFoundError if it does not exist,
        InvalidInputError if it is neither a folder, a manifest nor a list.
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
        """Return a string that changes with the photo; see `SourceRoots.version`."""
        return "" if entry.problem else self._roots.version(entry.uri)

    def facts(
        self, entry: Entry, max_bytes: int, sidecars: Sequence[Sidecar], wanted: FactsWanted
    ) -> dict[str, PayloadValue]:
        """Return what is inside a photo; raises as `read`.

        Of a file on this machine only its headers are read.
        """
        location = parse_location(entry.uri)
        if location.is_remote or location.inside is not None:
            return facts_of(BytesIO(self.read(entry, max_bytes)), sidecars, wanted)
        with self._roots.open(location) as file, read_errors(location):
            return facts_of(file, sidecars, wanted)


def sidecar_entry(entry: Entry, path: str) -> Entry:
    """Return a sidecar of a photo as an entry, so that it can be read; it is in the same folder."""
    beside = parse_location(entry.uri).parent().below(posixpath.basename(path))
    return replace(entry, path=path, uri=beside.uri, sidecars=())


def _check_local(location: Location) -> None:
    path = location.path
    if not os.path.exists(path):  # noqa: PTH110 - a path, not a Path
        raise NotFoundError(
            f"the source {location.uri} does not exist; check the path, and that it is mounted"
            " where the service runs"
        )
    is_file = is_manifest(location) or is_list(location)
    if location.inside is None and os.path.isdir(path) is is_file:  # noqa: PTH112
        raise InvalidInputError(
            f"the source {location.uri} is neither a folder, a manifest (a .csv file) nor a list of"
            f" addresses (a {LIST_SUFFIX} file)",
            field="source",
        )
