"""Thumbnails and originals of points' photos, read from where they were indexed, in the same roots.

A file may have changed since it was indexed: bytes and declared pixels are checked before decoding,
few photos are decoded at once, and thumbnails are cached up to a number of bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import TypeAlias

from cachetools import LRUCache
from PIL import Image

from landmarks.errors import DeadlineError
from landmarks.photos.decode import decode, format_of
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.source_roots import SourceRoots

SIZES = (320, 160, 960)

# Of the formats whose media type Pillow does not know, or knows otherwise; RAW files have none.
_MEDIA_TYPES = {"HEIF": "image/heif", "JXL": "image/jxl"}
_ANY_BYTES = "application/octet-stream"

_THREADS = 4
_SECONDS = 20.0
_QUALITY = 82


@dataclass(frozen=True)
class PointPhoto:
    """A point's photo according to its payload: its uri, sha256 and file name."""

    uri: str
    sha256: str
    name: str


@dataclass(frozen=True)
class ServedPhoto:
    """The bytes to send, their content type, and whether the file is still the indexed one."""

    data: bytes
    kind: str
    is_indexed: bool


_Key: TypeAlias = tuple[str, str, int]
_Work: TypeAlias = Callable[[PointPhoto, int], ServedPhoto]


class Thumbnails:
    """Makes and caches thumbnails. For one event loop; the work is done in threads."""

    def __init__(self, roots: SourceRoots, limits: PhotoLimits, cache_bytes: int) -> None:
        """Read below `roots`, and cache up to `cache_bytes` of thumbnails."""
        self._roots = roots
        self._limits = limits
        self._cache: LRUCache[_Key, ServedPhoto] = LRUCache(
            cache_bytes, getsizeof=lambda photo: len(photo.data)
        )
        self._making: dict[_Key, asyncio.Task[ServedPhoto]] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnail")

    @property
    def cached_bytes(self) -> int:
        """The bytes of all cached thumbnails."""
        return int(self._cache.currsize)

    async def thumbnail(self, photo: PointPhoto, size: int) -> ServedPhoto:
        """Return a photo as a JPEG, no side longer than `size`.

        Raises what `SourceRoots.read` does; InvalidPhotoError if the file is not a photo, damaged
        or over a limit; DeadlineError if reading takes too long.
        """
        key = (photo.uri, photo.sha256, size)
        if (cached := self._cache.get(key)) is not None:
            return cached
        if (task := self._making.get(key)) is None:
            task = asyncio.create_task(self._in_thread(self._read_scaled, photo, size))
            self._making[key] = task
            task.add_done_callback(lambda done: self._store(key, done))
        return await asyncio.shield(task)

    async def original(self, photo: PointPhoto) -> ServedPhoto:
        """Return a photo's own bytes; raises what `thumbnail` does."""
        return await self._in_thread(self._read_original, photo, 0)

    def close(self) -> None:
        """Cancel what has not started."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: _Work, photo: PointPhoto, size: int) -> ServedPhoto:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_SECONDS):
                return await loop.run_in_executor(self._pool, work, photo, size)
        except TimeoutError:
            raise DeadlineError(f"{photo.uri} was not read within {_SECONDS:g} s") from None

    def _store(self, key: _Key, task: asyncio.Task[ServedPhoto]) -> None:
        del self._making[key]
        if task.cancelled() or task.exception() is not None:
            return
        photo = task.result()
        if not photo.is_indexed:
            return  # the file has changed since it was indexed, and may change again
        if len(photo.data) <= self._cache.maxsize:
            self._cache[key] = photo

    def _read_scaled(self, photo: PointPhoto, size: int) -> ServedPhoto:
        data = self._roots.read(photo.uri, self._limits.max_bytes)
        return ServedPhoto(
            _scaled(data, size, self._limits), "image/jpeg", _is_indexed(photo, data)
        )

    def _read_original(self, photo: PointPhoto, size: int) -> ServedPhoto:
        del size
        data = self._roots.read(photo.uri, self._limits.max_bytes)
        return ServedPhoto(data, _media_type(data, self._limits), _is_indexed(photo, data))


def _is_indexed(photo: PointPhoto, data: bytes) -> bool:
    return sha256(data).hexdigest() == photo.sha256


def _media_type(data: bytes, limits: PhotoLimits) -> str:
    kind = format_of(data, limits)
    return _MEDIA_TYPES.get(kind) or Image.MIME.get(kind, _ANY_BYTES)


def _scaled(data: bytes, size: int, limits: PhotoLimits) -> bytes:
    image = decode(data, limits, size).image
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
