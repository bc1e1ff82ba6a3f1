"""The JPEGs inside a RAW file, wherever its maker puts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from landmarks.photos.file_headers import JPEG_START, jpeg_length

# Lossless ones, which hold a sensor's data, have a frame of another kind.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})
_SCAN = 0xDA
# Before a preview's frame: tables and what a camera writes of a photo.
_MOST_SEGMENTS = 40
# A DNG of 100 megapixels has a lossless JPEG in each of some thousand tiles.
_MOST_STARTS = 5_000


@dataclass(frozen=True)
class EmbeddedJpeg:
    """Where a JPEG starts, and the size that its frame declares."""

    start: int
    width: int
    height: int

    def bytes_in(self, data: bytes) -> bytes:
        """Return the JPEG's own bytes, from its start to its end marker."""
        rest = memoryview(data)[self.start :]
        return bytes(rest[: jpeg_length(rest)[0]])


def embedded_jpegs(data: bytes) -> list[EmbeddedJpeg]:
    """Return the JPEGs in a file, largest first."""
    found = [one for start in _starts(data) if (one := _jpeg_at(data, start)) is not None]
    return sorted(found, key=lambda one: one.width * one.height, reverse=True)


def _starts(data: bytes) -> Iterator[int]:
    place = -1
    for _ in range(_MOST_STARTS):
        place = data.find(JPEG_START, place + 1)
        if place < 0:
            return
        yield place


def _jpeg_at(data: bytes, start: int) -> EmbeddedJpeg | None:
    """Source: ITU-T T.81, annex B."""
    place = start + 2
    for _ in range(_MOST_SEGMENTS):
        if len(data) < place + 9 or data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker in _FRAMES:
            height = int.from_bytes(data[place + 5 : place + 7], "big")
            width = int.from_bytes(data[place + 7 : place + 9], "big")
            return EmbeddedJpeg(start, width, height) if width and height else None
        if marker in _OTHER_FRAMES or marker == _SCAN:
            return None
        place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return None
