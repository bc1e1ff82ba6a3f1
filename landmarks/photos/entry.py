"""One photo that a source lists."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from landmarks.errors import ForbiddenError
from landmarks.photos.column_types import PayloadValue
from landmarks.photos.location import Location
from landmarks.photos.source_roots import SourceRoots


@dataclass(frozen=True)
class Entry:
    """One photo that a source lists.

    `path` is relative to the source's root, with `/`. `columns` are the manifest's others.
    `problem` says why the photo cannot be read, if that is already known; `uri` is empty then.
    `sidecars` are the paths, relative as `path`, of files in its folder that describe the photo.
    """

    path: str
    uri: str
    landmark: str | None = None
    columns: Mapping[str, PayloadValue] = field(default_factory=dict)
    problem: str = ""
    sidecars: tuple[str, ...] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read what `asdict` returned, once it was JSON."""
        return cls(**{**values, "sidecars": tuple(values.get("sidecars", ()))})


def entry_below(
    roots: SourceRoots,
    folder: Location,
    path: str,
    landmark: str | None,
    columns: Mapping[str, PayloadValue],
) -> Entry:
    """Return the entry of a normalised path below a folder, which may be a link out."""
    location = folder.below(path)
    try:
        roots.check(location)
    except ForbiddenError:
        return Entry(path, "", landmark, columns, "it is a link that leads out of the roots")
    return Entry(path, location.uri, landmark, columns)


def path_problem(path: str) -> str:
    """Return why a path cannot be that of a photo in a source; "" if it can."""
    if "\0" in path:
        return "its path has a NUL in it"
    if path.startswith("/"):
        return "its path is absolute; paths are relative to the manifest's folder"
    if "://" in path:
        return "its path is a URI; paths are relative to the manifest's folder"
    if posixpath.normpath(path).split("/")[0] == "..":
        return "its path climbs out of the source's folder"
    return ""


def printable(path: str) -> str:
    """Return a path with the bytes that are not UTF-8 escaped."""
    return path.encode("utf-8", "backslashreplace").decode()
