"""Sources of photos: a folder, a manifest (CSV) or a list (text), below allowed roots."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from io import BytesIO

from landmarks.errors import InvalidInputError, LandmarksError, NotFoundError
from landmarks.photos.address_list import LIST_SUFFIX, AddressList, is_list
from landmarks.photos.column_types import PayloadValue
from landmarks.photos.columns import Columns
from landmarks.photos.entry import Entry
from landmarks.photos.folder import Folder
from landmarks.photos.identity import SourceIdentity, without_links
from landmarks.photos.labels import ListingRules
from landmarks.photos.listing_counts import Skipped
from landmarks.photos.location import Location, parse_location
from landmarks.photos.manifest import SPLIT, Manifest, is_manifest
from landmarks.photos.metadata.read import FactsWanted, Sidecar, facts_of
from landmarks.photos.source_errors import read_errors
from landmarks.photos.source_roots import SourceRoots


class Source:
    """A source that exists.

    `name` stands for it in points' ids by default; `identity` is what it is, whatever its name.
    Once all entries were listed, `doubt` says why photos may be missing from them, `skipped` counts
    the files that are no photos, and `notes` says what was left out besides.
    """

    def __init__(
        self, roots: SourceRoots, location: Location, splits: Sequence[str], rules: ListingRules
    ) -> None:
        self._location = location
        self._splits = splits
        self._rules = rules
        self._listing: Folder | Manifest | AddressList
        root = without_links(location).uri
        self.identity = SourceIdentity(root, root)
        if _is_local_folder(location):
            self._listing = Folder(roots, location, rules)
            name = location.name
        elif is_manifest(location):
            self._listing = Manifest(roots, location, splits)
            name = location.parent().name
            self.identity = SourceIdentity(root, without_links(location.parent()).uri)
        elif is_list(location):
            self._listing = AddressList(roots, location)
            name = location.name.removesuffix(LIST_SUFFIX)
            self.identity = SourceIdentity(root, "")
        else:
            self._listing = Folder(roots, location, rules)
            name = location.name
        self.name = name or "source"
        self.doubt = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, or what else matters, in words."""
        return () if isinstance(self._listing, AddressList) else self._listing.notes

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The files of a folder that are no photos, and folders that were not looked into."""
        return self._listing.skipped.counts() if isinstance(self._listing, Folder) else ()

    @property
    def columns(self) -> Columns | None:
        """The columns of a manifest with their types; raises as `entries`. None: it is none."""
        return self._listing.columns if isinstance(self._listing, Manifest) else None

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
        if self._rules != ListingRules() and not isinstance(self._listing, Folder):
            given = next(name for name, value in asdict(self._rules).items() if value)
            raise InvalidInputError(
                f"{given} was given, but {self._location.uri} is a {self._listing.kind}; leave it"
                " out, as it is for folders and zip files",
                field=given,
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

    def open(
        self,
        source: str,
        splits: Sequence[str] = (),
        rules: ListingRules = ListingRules(),  # noqa: B008 - it is frozen
    ) -> Source:
        """Return the source that a path or URI names.

        Raises ForbiddenError outside the roots, NotFoundError if it does not exist,
        InvalidInputError if it is neither a folder, a manifest nor a list, or for unfit rules.
        """
        location = parse_location(source)
        self._roots.check(location)
        is_zip = location.inside is None and location.path.lower().endswith(".zip")
        if is_zip and not _is_local_folder(location):
            location = Location(location.protocol, location.path, "")
        if location.protocol == "file":
            _check_local(location)
        return Source(self._roots, location, splits, rules)

    def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Return the bytes of a photo; raises as `SourceRoots.read`."""
        if entry.problem:
            raise InvalidInputError(entry.problem)
        return self._roots.read(entry.uri, max_bytes)

    def is_there(self, uri: str) -> bool:
        """Say whether a photo, or a source, can be read now; "" cannot."""
        try:
            location = parse_location(uri)
            self._roots.version(Location(location.protocol, location.path).uri)
        except LandmarksError:  # a folder on a server may have none
            try:
                self.open(uri).check()
            except LandmarksError:
                return False
        return True

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


def _is_local_folder(location: Location) -> bool:
    """Say whether it is a folder of this machine, whatever it is called."""
    is_local = location.inside is None and not location.is_remote
    return is_local and os.path.isdir(location.path)  # noqa: PTH112


def _check_local(location: Location) -> None:
    path = location.path
    if not os.path.exists(path):  # noqa: PTH110 - a path, not a Path
        raise NotFoundError(
            f"the source {location.uri} does not exist; check the path, and that it is mounted"
            " where the service runs"
        )
    is_file = is_manifest(location) or is_list(location)
    if location.inside is None and not is_file and not _is_local_folder(location):
        raise InvalidInputError(
            f"the source {location.uri} is neither a folder, a manifest (a .csv file) nor a list of"
            f" addresses (a {LIST_SUFFIX} file)",
            field="source",
        )
