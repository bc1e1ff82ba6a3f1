"""Reading a chunk's photos: several at a time, and never all of them in memory."""

from __future__ import annotations

import hashlib
import posixpath
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from uuid import UUID

from indexer_worker.change_detection import Inside, Known, SourcePhoto, payload_version
from indexer_worker.retry import TRANSIENT_ERRORS
from landmarks.errors import LandmarksError
from landmarks.photos.entry import Entry
from landmarks.photos.metadata.read import MOST_SIDECAR_BYTES, FactsWanted, Sidecar, facts_of
from landmarks.photos.sources import Sources, sidecar_entry


@dataclass(frozen=True)
class ReadPhoto:
    """A photo's bytes, their sha256 in hexadecimal, and the file's version before it was read."""

    photo: SourcePhoto
    data: bytes
    sha256: str
    version: str
    inside: Inside


@dataclass(frozen=True)
class UnchangedPhoto:
    """A photo that was not read, as its file has the known version.

    `inside` is None if its point has what is inside it.
    """

    photo: SourcePhoto
    version: str
    inside: Inside | None


@dataclass(frozen=True)
class UnreadablePhoto:
    """A photo that could not be read, and why."""

    photo: SourcePhoto
    reason: str


class PhotoReader:
    """Reads photos with a few threads, shared by all chunks of a process."""

    def __init__(
        self, sources: Sources, stopping: threading.Event, threads: int, wanted: FactsWanted
    ) -> None:
        self._sources = sources
        self._stopping = stopping
        self._threads = threads
        self._wanted = wanted
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read")

    def read(
        self, photos: Sequence[SourcePhoto], max_bytes: int, known: Mapping[UUID, Known]
    ) -> Iterator[ReadPhoto | UnchangedPhoto | UnreadablePhoto]:
        """Yield photos in their order, reading a few ahead.

        Photos whose file still has the `known` version of their point are not read, but for what is
        inside them if that is not of the version of payloads that is written now.

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
        self, photo: SourcePhoto, max_bytes: int, known: Mapping[UUID, Known]
    ) -> ReadPhoto | UnchangedPhoto | UnreadablePhoto:
        try:
            # Before the bytes, so that the next job notices a photo that changes in between.
            version = self._sources.version(photo.entry)
            sidecars = [self._sidecar(photo.entry, path) for path in photo.entry.sidecars]
            written = payload_version(photo.entry, [one.version for one in sidecars], self._wanted)
            before = known.get(photo.point, Known())
            unchanged = bool(version) and before.file_version == version
            if unchanged and before.payload_version == written:
                return UnchangedPhoto(photo, version, None)
            beside = [self._read_sidecar(photo.entry, one) for one in sidecars]
            if unchanged:
                facts = self._sources.facts(photo.entry, max_bytes, beside, self._wanted)
                return UnchangedPhoto(photo, version, Inside(facts, written))
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
        facts = facts_of(BytesIO(data), beside, self._wanted)
        sha256 = hashlib.sha256(data).hexdigest()
        return ReadPhoto(photo, data, sha256, version, Inside(facts, written))

    def _sidecar(self, entry: Entry, path: str) -> _FoundSidecar:
        """Return the version of a sidecar; where none is known, it is read for that."""
        one = sidecar_entry(entry, path)
        try:
            if version := self._sources.version(one):
                return _FoundSidecar(path, version)
        except TRANSIENT_ERRORS:
            raise
        except LandmarksError as error:
            return _FoundSidecar(path, "", Sidecar(posixpath.basename(path), problem=str(error)))
        sidecar = self._read_sidecar(entry, _FoundSidecar(path, ""))
        return _FoundSidecar(path, hashlib.sha256(sidecar.data).hexdigest(), sidecar)

    def _read_sidecar(self, entry: Entry, found: _FoundSidecar) -> Sidecar:
        if found.read is not None:
            return found.read
        name = posixpath.basename(found.path)
        try:
            data = self._sources.read(sidecar_entry(entry, found.path), MOST_SIDECAR_BYTES)
        except TRANSIENT_ERRORS:
            raise
        except LandmarksError as error:
            return Sidecar(name, problem=str(error))
        return Sidecar(name, data)


@dataclass(frozen=True)
class _FoundSidecar:
    """A sidecar's path and version, and what it says if it was read already."""

    path: str
    version: str
    read: Sidecar | None = None
