"""EXIF and XMP in files of boxes: HEIC, AVIF, JPEG XL, JPEG 2000 and CR3.

Sources: ISO 14496-12 (boxes, `meta`), ISO 23008-12 annex A (EXIF of an item), ISO 18181-2 (JPEG
XL), ISO 15444-1 annex I (JPEG 2000), XMP part 3. CR3 has the directories of EXIF as TIFFs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import IO
from uuid import UUID

from landmarks.photos.metadata.exif import EXIF_START, MOST_BLOCK_BYTES, Exif, read_exif, read_parts
from landmarks.photos.metadata.facts import RefusedError
from landmarks.photos.metadata.found import Blocks
from landmarks.photos.metadata.heif_items import MetaItems

_JXL, _JP2 = b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cjP  \r\n\x87\n"
_XMP = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
_CANON = UUID("85c0b687-820f-11e0-8111-f4ce462b6a48").bytes
_JP2_EXIF = b"JpgTiffExif->JP2"
_MOST_BOXES = 2000


def is_boxes(start: bytes) -> bool:
    """Say whether a file consists of boxes, by its first bytes."""
    return start[4:8] == b"ftyp" or start.startswith((_JXL, _JP2))


def read_boxes(found: Blocks, file: IO[bytes]) -> None:
    """Read the EXIF and XMP of a file of boxes; raises RefusedError if they are damaged."""
    for kind, place, size in boxes(file, 0, file.seek(0, 2)):
        if kind == b"meta":
            items = MetaItems(file, _block(file, place, size))
            if items.exif:
                found.take_exif(partial(_with_offset, items.exif))
            found.xmp += [items.xmp] if items.xmp else []
        elif kind == b"moov":
            _canon(found, file, place, size)
        elif kind == b"Exif":
            found.take_exif(partial(_with_offset, _block(file, place, size)))
        elif kind == b"xml ":
            found.xmp.append(_block(file, place, size))
        elif kind == b"brob" and _block(file, place, 4) in (b"Exif", b"xml "):
            found.problems.append("its metadata are compressed with Brotli, which is not read")
        elif kind == b"uuid":
            name = _block(file, place, 16)
            if name == _XMP:
                found.xmp.append(_block(file, place + 16, size - 16))
            elif name == _JP2_EXIF:
                data = _block(file, place + 16, size - 16)
                found.take_exif(partial(read_exif, BytesIO(data)))


def boxes(file: IO[bytes], place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box: its kind, and where its contents begin and how long they are."""
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(16)
        if len(head) < 8 or place + 8 > end:
            return
        size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:  # up to the end
            size = end - place
        if size < header:
            raise RefusedError("a box of the file is shorter than its header")
        yield kind, place + header, min(size, end - place) - header
        place += size


def _canon(found: Blocks, file: IO[bytes], place: int, size: int) -> None:
    for kind, at, length in boxes(file, place, place + size):
        if kind == b"uuid" and _block(file, at, 16) == _CANON:
            parts = {
                name: BytesIO(_block(file, begin, extent))
                for name, begin, extent in boxes(file, at + 16, at + length)
                if name in (b"CMT1", b"CMT2", b"CMT4")
            }
            if image := parts.get(b"CMT1"):
                shot, where = parts.get(b"CMT2"), parts.get(b"CMT4")
                found.take_exif(partial(read_parts, image, shot, where))


def _with_offset(data: bytes) -> Exif:
    """Read EXIF after a number that says how far off it is."""
    start = 4 + int.from_bytes(data[:4], "big")
    if data.startswith(EXIF_START, start):  # some phones do not count it
        start += len(EXIF_START)
    return read_exif(BytesIO(data), start)


def _block(file: IO[bytes], place: int, size: int) -> bytes:
    if size > MOST_BLOCK_BYTES:
        raise RefusedError(f"the metadata have more than {MOST_BLOCK_BYTES} bytes")
    file.seek(place)
    return file.read(max(size, 0))
