"""Places that photos can be read from: a local path, or an fsspec URI.

`/photos/a.jpg`, `file:///photos/a.jpg`, `https://host/photos/a.jpg`, and for a file inside a zip
file `zip://inside/a.jpg::file:///photos.zip`. `::` in a name is written `%3A%3A`.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from landmarks.errors import ForbiddenError, InvalidInputError

WEB = ("http", "https")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# What separates a chain's parts: the last two of several colons, as a name may end with one.
_CHAIN = re.compile(r"::(?!:)")
# How `::` in a name is written, and what a name that has just that in it becomes.
_ESCAPED = re.compile(r"%(25)*3A%(25)*3A")


@dataclass(frozen=True)
class Location:
    """A place that photos can be read from.

    `path` is what a file system of `protocol` takes: an absolute path for `file`, the whole URI
    for `http` and `https`. `inside` is the path in the zip file that `path` names, if it is one.
    """

    protocol: str
    path: str
    inside: str | None = None

    @property
    def uri(self) -> str:
        """The location as a URI that `parse_location` reads back."""
        path = self.path if self.protocol in WEB else _escaped(self.path)
        outer = f"file://{path}" if self.protocol == "file" else path
        return outer if self.inside is None else f"zip://{_escaped(self.inside)}::{outer}"

    @property
    def name(self) -> str:
        """The last part of the path, without the `.zip` of a zip file."""
        if self.inside:
            return posixpath.basename(self.inside)
        last = posixpath.basename(urlsplit(self.path).path if self.is_remote else self.path)
        return last.removesuffix(".zip") if self.inside is not None else last

    @property
    def is_remote(self) -> bool:
        """Whether it is not on this machine."""
        return self.protocol != "file"

    @property
    def is_web(self) -> bool:
        """Whether it is a file or folder of a web server, and not inside a zip file."""
        return self.protocol in WEB and self.inside is None

    def below(self, relative: str) -> Location:
        """Return the location of a normalised relative path below this one."""
        if self.inside is not None:
            return Location(self.protocol, self.path, posixpath.join(self.inside, relative))
        if self.is_web:
            relative = quote(relative)
        return Location(self.protocol, posixpath.join(self.path, relative))

    def parent(self) -> Location:
        """Return the folder that contains this."""
        if self.inside is not None:
            return Location(self.protocol, self.path, posixpath.dirname(self.inside))
        return Location(self.protocol, posixpath.dirname(self.path))


def parse_location(text: str) -> Location:
    """Read a local path or a URI.

    Raises InvalidInputError if it is neither, and ForbiddenError for a chain of anything but `zip`,
    as other chains could reach any address.
    """
    if not text or "\0" in text:
        raise InvalidInputError("the source is empty, or has a NUL in it", field="source")
    outer, *chained = [text] if text.startswith("/") else _CHAIN.split(text, maxsplit=1)
    if chained:
        base = chained[0]
        scheme = _SCHEME.match(outer)
        if scheme is None or scheme[1].lower() != "zip" or base.lower().startswith("zip:"):
            raise ForbiddenError(
                f"the source {text!r} is a chain that is not allowed; the only one is"
                " zip://<path inside>::<where the zip file is>"
            )
        location = parse_location(base)
        inside = posixpath.normpath(_unescaped(outer[len("zip://") :].strip("/")) or ".")
        if inside == ".." or inside.startswith("../"):
            raise ForbiddenError(f"the source {text!r} climbs out of its zip file")
        return Location(location.protocol, location.path, "" if inside == "." else inside)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _local(text, text)
    protocol = scheme[1].lower()
    if protocol == "zip":
        raise InvalidInputError(
            f"the source {text!r} does not say where the zip file is:"
            " zip://<path inside>::<where the zip file is>",
            field="source",
        )
    if protocol in ("file", "local"):
        path = text[scheme.end() :].removeprefix("localhost")
        return _local(_as_named(_unescaped(path)), text)
    checked = _checked_uri(text, protocol)
    return Location(protocol, checked if protocol in WEB else _unescaped(checked))


def climbs(path: str) -> bool:
    """Say whether any reader of a URI's path could take a part of it for `.` or `..`.

    However often it is percent-encoded, with a backslash for `/`, and with parameters (`..;x`).
    """
    while (decoded := unquote(path)) != path:
        path = decoded
    parts = path.replace("\\", "/").split("/")
    return any(part.partition(";")[0] in (".", "..") for part in parts)


def _escaped(path: str) -> str:
    """Return a path with its `::` written so that `_unescaped` reads it back.

    Nearly all paths stay as they are; so do the URIs of points that are stored.
    """
    if "::" not in path and not _ESCAPED.search(path):
        return path
    return path.replace("%", "%25").replace("::", "%3A%3A")


def _unescaped(path: str) -> str:
    if not _ESCAPED.search(path):
        return path
    return path.replace("%3A%3A", "::").replace("%25", "%")


def _local(path: str, text: str) -> Location:
    if not path.startswith("/"):
        raise InvalidInputError(
            f"the source {text!r} is a relative path; give an absolute one, or a URI",
            field="source",
        )
    # What `..` means depends on links, so it is the file system that resolves it.
    return Location("file", os.path.realpath(path) if ".." in path else posixpath.normpath(path))


def _as_named(path: str) -> str:
    """Return the path of a `file` URI, with the characters that others write as `%C3%A9`.

    This program writes them as they are; so what exists by the name as it is written is that.
    """
    decoded = unquote(path)
    if decoded == path or "\0" in decoded or os.path.lexists(path):
        return path
    return decoded if os.path.lexists(decoded) else path


def _checked_uri(text: str, protocol: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        # An HTTP client may drop them, and so turn a harmless path into one with `..`.
        raise ForbiddenError(f"the source {text!r} has control characters in it")
    parts = urlsplit(text)
    # What follows a ? or # too: not every server knows them.
    rest = text.partition("://")[2][len(parts.netloc) :]
    if climbs(rest):
        raise ForbiddenError(f"the source {text!r} has . or .. in its path")
    if "@" in parts.netloc:
        raise ForbiddenError("the source has a user name in it; give addresses without credentials")
    if protocol in WEB and (parts.query or parts.fragment):
        raise InvalidInputError(
            f"the source {text!r} has a ? or #, which photos below it could not share",
            field="source",
        )
    return f"{protocol}://{parts.netloc.lower()}{rest.rstrip('/')}"
