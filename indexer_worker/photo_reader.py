"""Reading the photos of a chunk: several at a time, and never all of them in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from indexer_worker.change_detection import Described
from indexer_worker.retry import TRANSIENT_ERRORS
from landmarks.errors import LandmarksError
from landmarks.photos.sources import Sources


@dataclass(frozen=True)
class ReadPhoto:
    """A photo's bytes, their sha256 in hexadecimal, and the version that they are at least of."""

    photo: Described
    data: bytes
    sha256: str
    version: str


@dataclass(frozen=True)
class Unread:
    """A photo whose version is the known one, so that it was not read."""

    photo: Described
    version: str


@dataclass(frozen=True)
class Unreadable:
    """A photo that could not be read, and why."""

    photo: Described
    reason: str


class PhotoReader:
    """Reads photos with a few threads, shared by the chunks of a process."""

    def __init__(self, sources: Sources, stopping: threading.Event, threads: int) -> None:
        self._sources = sources
        self._stopping = stopping
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read")

    def read(
        self, photos: Sequence[Described], max_bytes: int, known: Mapping[UUID, str]
    ) -> Iterator[ReadPhoto | Unread | Unreadable]:
        """Read photos in their order, a few ahead of whoever iterates.

        Those whose version is still the `known` one of their point are not read.

        A photo that cannot be read, whatever the reason, is that photo's own failure: a source that
        does not answer has been waited for by then, and one odd file must not hold up the rest.
        Raises UnavailableError where the worker stops meanwhile.
        """
        for start in range(0, len(photos), self._threads):
            window = photos[start : start + self._threads]
            yield from self._pool.map(lambda photo: self._one(photo, max_bytes, known), window)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _one(
        self, photo: Described, max_bytes: int, known: Mapping[UUID, str]
    ) -> ReadPhoto | Unread | Unreadable:
        try:
            # Before the bytes: of a photo that changes in between, the next run sees that it did.
            version = self._sources.version(photo.entry)
            if version and known.get(photo.point) == version:
                return Unread(photo, version)
            data = self._sources.read(photo.entry, max_bytes)
        except TRANSIENT_ERRORS as error:
            if self._stopping.is_set():
                raise
            return Unreadable(photo, str(error))
        except LandmarksError as error:
            return Unreadable(photo, str(error))
        except Exception as error:  # noqa: BLE001 - archives raise what they like
            reason = f"{photo.entry.uri} cannot be read: {type(error).__name__}: {error}"
            return Unreadable(photo, reason)
        if not data:
            return Unreadable(photo, f"{photo.entry.uri} is empty")
        return ReadPhoto(photo, data, hashlib.sha256(data).hexdigest(), version)
