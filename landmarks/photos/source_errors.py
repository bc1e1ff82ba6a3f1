"""What goes wrong while a photo is read, as `landmarks.errors`."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from landmarks.errors import (
    InvalidInputError,
    InvalidPhotoError,
    NotFoundError,
    UnavailableError,
)
from landmarks.photos.location import Location

# Errors of these packages mean that a server does not answer: a web server, an object store.
_REMOTE_PACKAGES = ("aiohttp", "botocore")
# How fsspec's file systems report that an object store is busy, or has failed itself.
_BUSY = frozenset({errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.EAGAIN, errno.ETIMEDOUT})


@contextmanager
def read_errors(location: Location) -> Iterator[None]:
    """Turn what goes wrong while reading `location` into `landmarks.errors`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, KeyError) as error:
        # fsspec raises this for every failure of a web server; the cause is the real one.
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
        # The errors of these packages have no common base below Exception.
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


def _is_final(error: Exception) -> bool:
    """Say whether a web server would answer a retry the same way."""
    status = getattr(error, "status", None)
    return type(error).__name__ == "TooManyRedirects" or (
        isinstance(status, int) and 300 <= status < 500 and status not in (408, 429)
    )
