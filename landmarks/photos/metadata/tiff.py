"""Directories of a TIFF, which EXIF and most RAW files are: only the tags that are requested.

Source: TIFF 6.0, and BigTIFF. No directory leads to another, so a file takes as long as a
directory has entries, whatever it says.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import IO, Literal

from landmarks.photos.metadata.facts import RefusedError

# The first bytes, RAW files' own among them: Olympus and Panasonic.
_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 13: 4, 16: 8, 18: 8, 129: 1}
_SIGNED = frozenset({6, 8, 9, 10})
_RATIONAL = frozenset({5, 10})
_MOST_ENTRIES = 2000
_MOST_NUMBERS = 16


def is_tiff(start: bytes) -> bool:
    """Say whether a file is a TIFF, by its first bytes."""
    return start.startswith(_STARTS)


@dataclass(frozen=True)
class Value:
    """The value of a tag: its bytes, as they are stored, and how to read them."""

    kind: int
    data: bytes
    order: Literal["little", "big"]

    @property
    def text(self) -> str:
        """The value as a text: UTF-8, or what older programs wrote instead."""
        data = self.data.partition(b"\0")[0]
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("cp1252", "replace")

    @property
    def numbers(self) -> tuple[float, ...]:
        """The value as numbers; one that is divided by zero is not a number."""
        size = _SIZES[self.kind] // (2 if self.kind in _RATIONAL else 1)
        signed = self.kind in _SIGNED
        parts = [
            int.from_bytes(self.data[at : at + size], self.order, signed=signed)
            for at in range(0, min(len(self.data), 2 * size * _MOST_NUMBERS) - size + 1, size)
        ]
        if self.kind not in _RATIONAL:
            return tuple(parts)
        return tuple(
            over / under if under else float("nan")
            for over, under in zip(parts[::2], parts[1::2], strict=False)
        )


class Tiff:
    """A TIFF in a file, from the file's place `start` on."""

    def __init__(self, file: IO[bytes], start: int = 0) -> None:
        self._file = file
        self._start = start
        head = self._read(0, 16)
        if not is_tiff(head):
            raise RefusedError("the EXIF data do not begin as they must")
        self._order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        self._is_big = head[2:4] in (b"+\0", b"\0+")
        self._size = 8 if self._is_big else 4
        self.first = self._number(head[self._size : 2 * self._size])

    def directory(self, place: int, wanted: Collection[int], most: int) -> dict[int, Value]:
        """Return the wanted tags of a directory, without values of more than `most` bytes."""
        count_size, entry_size = (8, 20) if self._is_big else (2, 12)
        count = self._number(self._read(place, count_size))
        if count > _MOST_ENTRIES:
            raise RefusedError(f"the EXIF data have {count} entries")
        entries = self._read(place + count_size, count * entry_size)
        found: dict[int, Value] = {}
        for at in range(0, len(entries) - entry_size + 1, entry_size):
            tag = self._number(entries[at : at + 2])
            if tag not in wanted or tag in found:
                continue
            kind = self._number(entries[at + 2 : at + 4])
            size = _SIZES.get(kind, 0) * self._number(entries[at + 4 : at + 4 + self._size])
            if not 0 < size <= most:
                continue
            data = entries[at + 4 + self._size : at + entry_size]
            if size > self._size:
                data = self._read(self._number(data), size)
            if len(data) >= size:
                found[tag] = Value(kind, data[:size], self._order)
        return found

    def _read(self, place: int, size: int) -> bytes:
        try:
            self._file.seek(self._start + place)
        except (OverflowError, ValueError, OSError):
            return b""
        return self._file.read(size)

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, self._order)
