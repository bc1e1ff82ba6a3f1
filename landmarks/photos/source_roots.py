"""Where photos may be read from: an allow-list of roots, and reading below it and nowhere else.

For a photo in a zip file, the zip file must lie below a root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, cast

import fsspec

from landmarks.errors import ForbiddenError, InvalidPhotoError
from landmarks.photos.location import WEB, Location, parse_location
from landmarks.photos.source_errors import read_errors

ROOTS_SETTING = "LANDMARKS_SOURCE_ROOTS"
# Of a web server: to take the connection, to send something, to send a file.
_CONNECT_SECONDS, _SILENT_SECONDS, _FILE_SECONDS = 10, 20, 300


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

        Links of the local file system are followed first. The location need not exist, and no
        address is called.
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
            f"{location.uri} is not below an allowed root; the operator of the service can add one"
            f" to {ROOTS_SETTING}"
        )

    def read(self, uri: str, max_bytes: int) -> bytes:
        """Return the bytes of a photo; never reads more than `max_bytes` + 1 of them.

        Raises ForbiddenError outside the roots, NotFoundError, InvalidPhotoError for one that is
        larger or cannot be read, UnavailableError if its server does not answer.
        """
        location = parse_location(uri)
        with self.open(location, whole=True) as file, read_errors(location):
            data = read_up_to(file, max_bytes + 1)
        if len(data) > max_bytes:
            raise InvalidPhotoError(f"{uri} is larger than {max_bytes} bytes")
        return data

    def version(self, uri: str) -> str:
        """Return a string that changes with the photo, without reading it; "" if none is known.

        That is its ETag, or size and time of change. For a photo in a zip file none is known:
        finding it there is most of the work of reading it. Raises as `read`.
        """
        location = parse_location(uri)
        self.check(location)
        if location.inside is not None:
            return ""
        with read_errors(location):
            if not location.is_remote:
                found = os.stat(location.path)  # noqa: PTH116 - a path, not a Path
                return f"{found.st_size}-{found.st_mtime_ns}"
            return _version_of(_file_system(location).info(location.path))

    @contextmanager
    def open(self, location: Location, *, whole: bool = False) -> Iterator[IO[bytes]]:
        """Open a file for reading, from start to end at once if `whole`; raises as `read`."""
        self.check(location)
        with read_errors(location):
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
        """Open the fsspec file system of a location; yield it, and the location's path in it."""
        self.check(location)
        if location.inside is None:
            files = _file_system(location)
            # As the file system itself names its files: without the protocol, except on the web.
            yield files, str(files._strip_protocol(location.path))
            return
        opened = (
            _open_regular(location.path)
            if location.protocol == "file"
            else _file_system(location).open(location.path, "rb")
        )
        with opened as archive:
            # A new file system for each call: one must not serve two threads, and a zip file may
            # be replaced while the worker runs.
            yield fsspec.filesystem("zip", fo=archive, skip_instance_cache=True), location.inside


def read_up_to(file: IO[bytes], most: int) -> bytes:
    """Read up to `most` bytes from a file that may return fewer at a time."""
    parts: list[bytes] = []
    while most > 0 and (part := file.read(most)):
        most -= len(part)
        parts.append(part)
    return b"".join(parts)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root.endswith("/") else root + "/")


def _file_system(location: Location) -> Any:  # noqa: ANN401 - fsspec has no types
    options = _web_options() if location.protocol in WEB else {}
    # A cached listing would hide that a file has changed.
    return fsspec.filesystem(location.protocol, use_listings_cache=False, **options)


def _web_options() -> dict[str, object]:
    from aiohttp import ClientTimeout  # here: most locations are not on the web

    patience = ClientTimeout(
        total=_FILE_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
    )
    # An allowed server must not redirect us to an address that is not allowed: the first redirect
    # is an error.
    return {"max_redirects": 1, "client_kwargs": {"timeout": patience}}


def _version_of(info: Mapping[str, object]) -> str:
    """Return a file's version from the information of its fsspec file system."""
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
