"""Items of a HEIF file's `meta` box: which are EXIF and XMP, and where they are.

Source: ISO 14496-12, 8.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from landmarks.photos.metadata.exif import MOST_BLOCK_BYTES
from landmarks.photos.metadata.facts import RefusedError

_XMP_TYPE = b"application/rdf+xml"
_MOST_ITEMS, _MOST_EXTENTS = 20_000, 64


class MetaItems:
    """The items of a `meta` box, whose contents are `data`."""

    def __init__(self, file: IO[bytes], data: bytes) -> None:
        self._file = file
        self._data = data
        parts = {kind: data[place:end] for kind, place, end in _boxes(data, 4)}
        self._stored = parts.get(b"idat", b"")
        exif, xmp = _described(parts.get(b"iinf", b""))
        places = _places(parts.get(b"iloc", b""), {one for one in (exif, xmp) if one is not None})
        self.exif = self._item(places, exif)
        self.xmp = self._item(places, xmp)

    def _item(
        self, places: dict[int, tuple[int, list[tuple[int, int]]]], item: int | None
    ) -> bytes:
        if item is None or item not in places:
            return b""
        method, extents = places[item]
        if method > 1 or sum(length for _, length in extents) > MOST_BLOCK_BYTES:
            raise RefusedError("the metadata are stored in a way that is not read")
        parts = []
        for place, length in extents:
            if method == 1:
                parts.append(self._stored[place : place + length])
            else:
                self._file.seek(place)
                parts.append(self._file.read(length))
        return b"".join(parts)


def _described(data: bytes) -> tuple[int | None, int | None]:
    """Return the numbers of the items that are EXIF and XMP, of an `iinf` box."""
    exif = xmp = None
    start = 6 if data[:1] == b"\0" else 8
    for kind, place, end in _boxes(data, start):
        version = data[place] if place < end else 0
        if kind != b"infe" or version < 2:
            continue
        width = 2 if version == 2 else 4
        number = int.from_bytes(data[place + 4 : place + 4 + width], "big")
        at = place + 6 + width  # after the item's protection
        what = data[at : at + 4]
        if what == b"Exif" and exif is None:
            exif = number
        elif what == b"mime" and xmp is None:
            _, _, content = data[at + 4 : end].partition(b"\0")
            if content.startswith(_XMP_TYPE):
                xmp = number
    return exif, xmp


def _places(data: bytes, wanted: set[int]) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """Return where the wanted items are, of an `iloc` box: how they are stored, and extents."""
    found: dict[int, tuple[int, list[tuple[int, int]]]] = {}
    if len(data) < 8 or not wanted:
        return found
    version = data[0]
    offset_size, length_size = data[4] >> 4, data[4] & 15
    base_size, index_size = data[5] >> 4, (data[5] & 15) if version else 0
    wide = 4 if version == 2 else 2
    at = 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(min(number(wide), _MOST_ITEMS)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)  # of the file that has it: this one
        base, extents = number(base_size), number(2)
        if item in wanted and extents <= _MOST_EXTENTS:
            found[item] = (
                method,
                [
                    ((number(index_size), base + number(offset_size))[1], number(length_size))
                    for _ in range(extents)
                ],
            )
        else:
            at += extents * (index_size + offset_size + length_size)
        if at > len(data):
            break
    return found


def _boxes(data: bytes, place: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box in bytes: its kind, and where its contents begin and end."""
    for _ in range(_MOST_ITEMS):
        if place + 8 > len(data):
            return
        size = int.from_bytes(data[place : place + 4], "big") or len(data) - place
        if size < 8:  # of more than 4 GiB, in a box of a few megabytes
            return
        yield data[place + 4 : place + 8], place + 8, min(place + size, len(data))
        place += size
