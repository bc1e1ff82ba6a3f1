"""Reading a chunk's photos: several at a time, and never all of them in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from indexer_worker.change_detection import SourcePhoto
from indexer_worker.retry import TRANSIENT_ERRORS
from landmarks.errors import LandmarksError
from landmarks.photos.sources import Sources


@dataclass(frozen=True)
class ReadPhoto:
    """A photo's bytes, their sha256 in hexadecimal, and the file's version before it was read."""

    photo: SourcePhoto
    data: bytes
    sha256: str
    version: str


@dataclass(frozen=True)
class UnchangedPhoto:
    """A photo that was not read, as its file has the known version."""

    photo: SourcePhoto
    version: str


@dataclass(frozen=True)
class UnreadablePhoto:
    """A photo that could not be read, and why."""

    photo: SourcePhoto
    reason: str


class PhotoReader:
    """Reads photos with a few threads, shared by all chunks of a process."""

    def __init__(self, sources: Sources, stopping: threading.Event, threads: int) -> None:
        self._sources = sources
        self._stopping = stopping
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read")

    def read(
        self, photos: Sequence[SourcePhoto], max_bytes: int, known: Mapping[UUID, str]
    ) -> Iterator[ReadPhoto | UnchangedPhoto | UnreadablePhoto]:
        """Yield photos in their order, reading a few ahead.

        Photos whose file still has the `known` version of their point are not read.

        A photo that cannot be read fails alone, whatever the reason: reads have been retried by
        then, and one odd file must not hold up the rest. Raises UnavailableError if the worker
        stops meanwhile.
        """
        for start in range(0, len(photos), self._threads):
            window = photos[start : start + self._threads]
            yield from self._pool.map(lambda photo: self._one(photo, max_bytes, known), window)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _one(
        self, photo: SourcePhoto, max_bytes: int, known: Mapping[UUID, str]
    ) -> ReadPhoto | UnchangedPhoto | UnreadablePhoto:
        try:
            # Before the bytes, so that the next job notices a photo that changes in between.
            version = self._sources.version(photo.entry)
            if version and known.get(photo.point) == version:
                return UnchangedPhoto(photo, version)
            data = self._sources.read(photo.entry, max_bytes)
        except TRANSIENT_ERRORS as error:
            if self._stopping.is_set():
                raise
            return UnreadablePhoto(photo, str(error))
        except LandmarksError as error:
            return UnreadablePhoto(photo, str(error))
        except Exception as error:  # noqa: BLE001 - archives raise anything
            reason = f"{photo.entry.uri} cannot be read: {type(error).__name__}: {error}"
            return UnreadablePhoto(photo, reason)
        if not data:
            return UnreadablePhoto(photo, f"{photo.entry.uri} is empty")
        return ReadPhoto(photo, data, hashlib.sha256(data).hexdigest(), version)
