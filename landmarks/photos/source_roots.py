"""Where photos may be read from: an allow-list of roots, and reading below it and nowhere else.

For a photo in a zip file, the zip file must lie below a root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, Any

import fsspec

from landmarks.errors import ForbiddenError, InvalidPhotoError
from landmarks.photos.archives import Archive, Archives
from landmarks.photos.limits import MAX_PHOTO_BYTES_SETTING
from landmarks.photos.local_files import file_status, open_file, open_folder
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
        self._archives = Archives()

    def check(self, location: Location) -> None:
        """Raise ForbiddenError unless a location lies below one of the roots.

        Links of the local file system are followed first. The location need not exist, and no
        address is called.
        """
        if not location.is_remote:
            self._resolved(location)
        elif not any(
            root.protocol == location.protocol and _is_below(location.path, root.path)
            for root in self._roots
        ):
            raise _forbidden(location)

    def read(self, uri: str, max_bytes: int) -> bytes:
        """Return the bytes of a photo; never reads more than `max_bytes` + 1 of them.

        Raises ForbiddenError outside the roots, NotFoundError, InvalidPhotoError for one that is
        larger or cannot be read, UnavailableError if its server does not answer.
        """
        location = parse_location(uri)
        with self.open(location, whole=True) as file, read_errors(location):
            data = read_up_to(file, max_bytes + 1)
        if len(data) > max_bytes:
            raise InvalidPhotoError(
                f"{uri} is larger than {max_bytes} bytes ({MAX_PHOTO_BYTES_SETTING}, of the encoder"
                " too)"
            )
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
            if location.is_remote:
                return _version_of(_file_system(location).info(location.path))
            found = file_status(*self._resolved(location))
            return f"{found.st_size}-{found.st_mtime_ns}"

    @contextmanager
    def open(self, location: Location, *, whole: bool = False) -> Iterator[IO[bytes]]:
        """Open a file for reading, from start to end at once if `whole`; raises as `read`."""
        self.check(location)
        with read_errors(location):
            if location.inside is not None:
                with self.archive(location) as archive, archive.open(location.inside) as member:
                    yield member
            elif location.is_remote:
                # One request a photo: without these, fsspec first asks how large it is.
                stream = {"block_size": 0, "size": 1} if whole and location.is_web else {}
                files, path = self.files(location)
                with files.open(path, "rb", **stream) as file:
                    yield file
            else:
                with os.fdopen(open_file(*self._resolved(location)), "rb") as file:
                    yield file

    @contextmanager
    def archive(self, location: Location) -> Iterator[Archive]:
        """Open the zip file of a location."""
        self.check(location)
        with ExitStack() as stack:
            if location.is_remote:
                files = _file_system(location)
                version = _version_of(files.info(location.path))
                open_zip = partial(files.open, location.path, "rb")
            else:
                # It may have been replaced since it was opened, so it is always opened again.
                descriptor = open_file(*self._resolved(location))
                stack.callback(os.close, descriptor)
                found = os.fstat(descriptor)
                version = f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
                open_zip = partial(_opened_again, descriptor)
            yield stack.enter_context(self._archives.open(location.path, version, open_zip))

    @contextmanager
    def folder(self, location: Location, resolved: str = "") -> Iterator[tuple[str, int]]:
        """Open a local folder; yield its path without links, and a descriptor to list it by.

        `resolved` is that path, if it is known: one that has a link in it by now is not followed.
        """
        root, path = self._below_root(location, resolved) if resolved else self._resolved(location)
        descriptor = open_folder(root, path)
        try:
            yield path, descriptor
        finally:
            os.close(descriptor)

    def files(self, location: Location) -> tuple[Any, str]:
        """Return the fsspec file system of a location, and the location's path in it."""
        self.check(location)
        files = _file_system(location)
        # As the file system itself names its files: without the protocol, except on the web.
        return files, str(files._strip_protocol(location.path))

    def _resolved(self, location: Location) -> tuple[str, str]:
        """Return the root that a local location is below, and its path without links."""
        with read_errors(location):  # a link may be gone while it is followed
            resolved = os.path.realpath(location.path)
        return self._below_root(location, resolved)

    def _below_root(self, location: Location, resolved: str) -> tuple[str, str]:
        for root in self._local:
            if _is_below(resolved, root):
                return root, resolved
        raise _forbidden(location)


def _forbidden(location: Location) -> ForbiddenError:
    return ForbiddenError(
        f"{location.uri} is not below an allowed root; the operator of the service can add one to"
        f" {ROOTS_SETTING}"
    )


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


def _opened_again(descriptor: int) -> IO[bytes]:
    return os.fdopen(os.dup(descriptor), "rb")


def _version_of(info: Mapping[str, object]) -> str:
    """Return a file's version from the information of its fsspec file system."""
    if etag := info.get("ETag"):
        return str(etag)
    names = ("mtime", "LastModified", "last_modified", "Last-Modified", "updated")
    changed = next((info[name] for name in names if info.get(name)), None)
    return "" if changed is None or info.get("size") is None else f"{info['size']}-{changed}"
