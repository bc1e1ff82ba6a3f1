"""Where photos may be read from: an allow-list of roots, and reading below it and nowhere else.

A location is a local path, or an fsspec URI: `file:///photos/a.jpg`, `https://host/photos/a.jpg`,
`zip://inside/a.jpg::file:///photos.zip`. For a zip file, what counts is where the zip file lies.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NoReturn, cast
from urllib.parse import quote, unquote, urlsplit

import fsspec

from landmarks.errors import (
    ForbiddenError,
    InvalidInputError,
    InvalidPhotoError,
    NotFoundError,
    UnavailableError,
)

ROOTS_SETTING = "LANDMARKS_SOURCE_ROOTS"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_WEB = ("http", "https")
# Whose errors say that a server does not answer: of the web's, and of object stores' clients.
_REMOTE_PACKAGES = ("aiohttp", "botocore")
# As which fsspec's file systems tell that an object store asks for patience, or has failed itself.
_BUSY = frozenset({errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.EAGAIN, errno.ETIMEDOUT})
# Of a web server: to take the connection, to send something, to send a file.
_CONNECT_SECONDS, _SILENT_SECONDS, _FILE_SECONDS = 10, 20, 300


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
        outer = f"file://{self.path}" if self.protocol == "file" else self.path
        return outer if self.inside is None else f"zip://{self.inside}::{outer}"

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
        return self.protocol in _WEB and self.inside is None

    def below(self, relative: str) -> Location:
        """Return the location of a normalised relative path below this one."""
        if self.inside is not None:
            return Location(self.protocol, self.path, posixpath.join(self.inside, relative))
        if self.is_web:
            relative = quote(relative)
        return Location(self.protocol, posixpath.join(self.path, relative))

    def parent(self) -> Location:
        """Return the folder that holds this."""
        if self.inside is not None:
            return Location(self.protocol, self.path, posixpath.dirname(self.inside))
        return Location(self.protocol, posixpath.dirname(self.path))


def parse_location(text: str) -> Location:
    """Read a local path or a URI.

    Raises InvalidInputError where it is neither, and ForbiddenError for a chain of anything but
    `zip`, whose other links could reach any address.
    """
    if not text or "\0" in text:
        raise InvalidInputError("the source is empty, or has a NUL in it", field="source")
    outer, chained, base = text.partition("::")
    if chained:
        scheme = _SCHEME.match(outer)
        if scheme is None or scheme[1].lower() != "zip" or "::" in base:
            raise ForbiddenError(
                f"the source {text!r} is a chain that is not allowed; the only one is"
                " zip://<path inside>::<where the zip file is>"
            )
        location = parse_location(base)
        inside = posixpath.normpath(outer[len("zip://") :].strip("/") or ".")
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
        return _local(text[scheme.end() :], text)
    return Location(protocol, _checked_uri(text, protocol))


def _local(path: str, text: str) -> Location:
    if not path.startswith("/"):
        raise InvalidInputError(
            f"the source {text!r} is a relative path; give an absolute one, or a URI",
            field="source",
        )
    # What `..` means depends on links, so it is the file system that resolves it.
    return Location("file", os.path.realpath(path) if ".." in path else posixpath.normpath(path))


def _checked_uri(text: str, protocol: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        # Whoever asks for it may leave them out, and make `..` of what was none.
        raise ForbiddenError(f"the source {text!r} has control characters in it")
    parts = urlsplit(text)
    # What follows a ? or # too: not every server knows them.
    rest = text.partition("://")[2][len(parts.netloc) :]
    segments = unquote(unquote(rest)).replace("\\", "/").split("/")
    if ".." in segments or "." in segments:
        raise ForbiddenError(f"the source {text!r} has . or .. in its path")
    if "@" in parts.netloc:
        raise ForbiddenError("the source has a user name in it; give addresses without credentials")
    if protocol in _WEB and (parts.query or parts.fragment):
        raise InvalidInputError(
            f"the source {text!r} has a ? or #, which photos below it could not share",
            field="source",
        )
    return f"{protocol}://{parts.netloc.lower()}{rest.rstrip('/')}"


class SourceRoots:
    """The allow-list. Reads what lies below its roots; refuses everything else.

    A root is an absolute local path or a URI, as in `["/photos", "https://host/photos/"]`. Safe to
    use from many threads.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [parse_location(root) for root in roots]
        self._local = [os.path.realpath(r.path) for r in self._roots if not r.is_remote]

    def check(self, location: Location) -> None:
        """Raise ForbiddenError unless a location lies below one of the roots.

        Links of the local file system are followed first. Nothing is said of whether the location
        exists, and no address is called.
        """
        if location.protocol == "file":
            resolved = os.path.realpath(location.path)
            if any(_is_below(resolved, root) for root in self._local):
                return
        else:
            for root in self._roots:
                if root.protocol == location.protocol and _is_below(location.path, root.path):
                    return
        raise ForbiddenError(
            f"{location.uri} is not below an allowed root; whoever runs the service can add one to"
            f" {ROOTS_SETTING}"
        )

    def read(self, uri: str, max_bytes: int) -> bytes:
        """Return the bytes of a photo; never reads more than `max_bytes` + 1 of them.

        Raises ForbiddenError outside the roots, NotFoundError, InvalidPhotoError for one that is
        larger or cannot be read, UnavailableError where its server does not answer.
        """
        location = parse_location(uri)
        with self.open(location, whole=True) as file, reading_failures(location):
            data = b"".join(_parts(file, max_bytes + 1))
        if len(data) > max_bytes:
            raise InvalidPhotoError(f"{uri} is larger than {max_bytes} bytes")
        return data

    def version(self, uri: str) -> str:
        """Return what tells whether a photo has changed, without reading it; "" where nothing does.

        That is its ETag, or size and time of change. Of a photo in a zip file nothing is known:
        finding it there is most of the work of reading it. Raises as `read`.
        """
        location = parse_location(uri)
        self.check(location)
        if location.inside is not None:
            return ""
        with reading_failures(location):
            if not location.is_remote:
                found = os.stat(location.path)  # noqa: PTH116 - a path, not a Path
                return f"{found.st_size}-{found.st_mtime_ns}"
            return _version_of(_file_system(location).info(location.path))

    @contextmanager
    def open(self, location: Location, *, whole: bool = False) -> Iterator[IO[bytes]]:
        """Open a file for reading, from start to end at once if `whole`; raises as `read`."""
        self.check(location)
        with reading_failures(location):
            if location.inside is None and location.protocol == "file":
                with _open_regular(location.path) as file:
                    yield file
            else:
                # One request a photo: without these, fsspec first asks how large it is.
                stream = {"block_size": 0, "size": 1} if whole and location.is_web else {}
                with (
                    self.file_system(location) as (files, path),
                    files.open(path, "rb", **stream) as file,
                ):
                    yield file

    @contextmanager
    def file_system(self, location: Location) -> Iterator[tuple[Any, str]]:
        """Open the fsspec file system of a location; give it, and the location's path in it."""
        self.check(location)
        if location.inside is None:
            files = _file_system(location)
            # As the file system itself names its files: without the protocol, but for the web.
            yield files, str(files._strip_protocol(location.path))
            return
        opened = (
            _open_regular(location.path)
            if location.protocol == "file"
            else _file_system(location).open(location.path, "rb")
        )
        with opened as archive:
            # A file system of its own for each call: one must not serve two threads, and a zip file
            # may be replaced while the worker runs.
            yield fsspec.filesystem("zip", fo=archive, skip_instance_cache=True), location.inside


@contextmanager
def reading_failures(location: Location) -> Iterator[None]:
    """Turn what goes wrong while reading `location` into `landmarks.errors`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, KeyError) as error:
        # fsspec says this of a web server whatever it was; the cause tells.
        if location.is_remote and isinstance(error.__cause__, Exception):
            _raise_remote(location, error.__cause__)
        raise NotFoundError(f"{location.uri} does not exist") from error
    except PermissionError as error:
        raise InvalidInputError(
            f"{location.uri} may not be read by this process", field="source"
        ) from error
    except (ImportError, ValueError) as error:
        raise InvalidInputError(
            f"{location.uri} cannot be read: {error}", field="source"
        ) from error
    except Exception as error:
        # Those of these packages have no common base below Exception.
        packages = (*_REMOTE_PACKAGES, "zipfile", "zlib")
        if _package(error) not in packages and not isinstance(error, OSError):
            raise
        _raise_remote(location, error)


def _raise_remote(location: Location, error: Exception) -> NoReturn:
    if getattr(error, "status", None) in (404, 410):
        raise NotFoundError(f"{location.uri} does not exist") from error
    message = f"{location.uri} cannot be read: {type(error).__name__}: {error}"
    busy = isinstance(error, OSError) and error.errno in _BUSY
    away = busy or isinstance(error, (ConnectionError, TimeoutError))
    passing = away or _package(error) in _REMOTE_PACKAGES
    if location.is_remote and passing and not _is_final(error):
        raise UnavailableError(message) from error
    raise InvalidPhotoError(message) from error


def _package(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _parts(file: IO[bytes], most: int) -> Iterator[bytes]:
    """Read up to `most` bytes from a file that may return fewer at a time."""
    while most > 0 and (part := file.read(most)):
        most -= len(part)
        yield part


def _is_final(error: Exception) -> bool:
    """Say whether asking a web server again would be answered the same way."""
    status = getattr(error, "status", None)
    return type(error).__name__ == "TooManyRedirects" or (
        isinstance(status, int) and 300 <= status < 500 and status not in (408, 429)
    )


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root.endswith("/") else root + "/")


def _file_system(location: Location) -> Any:  # noqa: ANN401 - fsspec has no types
    options = _web_options() if location.protocol in _WEB else {}
    # A kept listing would go on to say what a changed file was like.
    return fsspec.filesystem(location.protocol, use_listings_cache=False, **options)


def _web_options() -> dict[str, object]:
    from aiohttp import ClientTimeout  # here: most places are not on the web

    patience = ClientTimeout(
        total=_FILE_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
    )
    # A server on the list must not send us on to an address that is not: a first redirect is an
    # error.
    return {"max_redirects": 1, "client_kwargs": {"timeout": patience}}


def _version_of(info: Mapping[str, object]) -> str:
    """Return a file's version from what its fsspec file system tells of it."""
    if etag := info.get("ETag"):
        return str(etag)
    names = ("mtime", "LastModified", "last_modified", "Last-Modified", "updated")
    changed = next((info[name] for name in names if info.get(name)), None)
    return "" if changed is None or info.get("size") is None else f"{info['size']}-{changed}"


def _open_regular(path: str) -> IO[bytes]:
    """Open a regular file; a pipe or a device would hold its reader for ever."""
    descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return cast("IO[bytes]", os.fdopen(descriptor, "rb"))
