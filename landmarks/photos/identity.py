"""What makes a source the same as another: not its name, which two may share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from landmarks.errors import LandmarksError
from landmarks.photos.location import Location, parse_location

_MOST_ABOVE = 2
_MOST_NUMBERS = 100


@dataclass(frozen=True)
class SourceIdentity:
    """Where a source is listed, and what the paths of its photos are relative to.

    Both are URIs without links. `root` is empty for a list of addresses, whose paths are whole.
    """

    listing: str
    root: str

    def names(self, usual: str) -> Iterator[str]:
        """Yield names for the source: the usual one, and others should that be another's.

        They begin with the folders that its root is in: `DCIM`, `card2-DCIM`, `media-card2-DCIM`,
        and then `media-card2-DCIM-2` and so on.
        """
        yield usual
        name = usual
        for above in self._folders_above()[:_MOST_ABOVE]:
            name = f"{above}-{name}"
            yield name
        yield from (f"{name}-{number}" for number in range(2, _MOST_NUMBERS))

    def _folders_above(self) -> list[str]:
        try:
            location = parse_location(self.root)
        except LandmarksError:  # a list of addresses
            return []
        path = urlsplit(location.path).path if location.is_remote else location.path
        parts = [*path.split("/"), *(location.inside or "").split("/")]
        folders = [one.removesuffix(".zip") for one in parts if one][:-1]
        return folders[::-1]

    def covers(self, uri: str) -> bool:
        """Say whether a photo with this uri may be of the source."""
        if not self.root:
            return True
        try:
            root, photo = parse_location(self.root), without_links(parse_location(uri))
        except LandmarksError:
            return False
        if photo.protocol != root.protocol or (photo.inside is None) != (root.inside is None):
            return False
        if root.inside is not None and photo.inside is not None:
            return photo.path == root.path and _is_below(photo.inside, root.inside)
        return _is_below(photo.path, root.path)


def without_links(location: Location) -> Location:
    """Return a location with the links of this machine's file system followed."""
    if location.is_remote:
        return location
    return replace(location, path=os.path.realpath(location.path))


def _is_below(path: str, root: str) -> bool:
    return not root or path.startswith(root.rstrip("/") + "/")
