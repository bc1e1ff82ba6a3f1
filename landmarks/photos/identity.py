"""What makes a source the same as another: not its name, which two may share."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from landmarks.errors import LandmarksError
from landmarks.photos.location import Location, parse_location


@dataclass(frozen=True)
class SourceIdentity:
    """Where a source is listed, and what the paths of its photos are relative to.

    Both are URIs without links. `root` is empty for a list of addresses, whose paths are whole.
    """

    listing: str
    root: str

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
