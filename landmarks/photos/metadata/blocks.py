"""Where a photo's file keeps EXIF, XMP and IPTC, by its format.

Only headers are read, by seeking, so that a file on this machine need not be read whole. Each
format is a chain of parts; so many are looked at, and so many bytes of one are read.
"""

from __future__ import annotations

import zlib
from functools import partial
from io import BytesIO
from typing import IO

from landmarks.photos.metadata.boxes import is_boxes, read_boxes
from landmarks.photos.metadata.exif import EXIF_START, MOST_BLOCK_BYTES, read_exif
from landmarks.photos.metadata.facts import RefusedError
from landmarks.photos.metadata.found import Blocks
from landmarks.photos.metadata.iptc import iptc_in_photoshop
from landmarks.photos.metadata.tiff import is_tiff

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP_START = b"Photoshop 3.0\0"
_FUJI, _FUJI_JPEG = b"FUJIFILMCCD-RAW ", 84
_PNG_XMP = b"XML:com.adobe.xmp\0"
_APPLICATIONS = (0xE1, 0xED)
_MOST_SEGMENTS, _MOST_CHUNKS = 500, 10_000
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def blocks_of(file: IO[bytes]) -> Blocks:
    """Return what a photo's file has of EXIF, XMP and IPTC.

    A format that has none, or is not known, has nothing. Raises RefusedError for a file whose parts
    cannot be followed.
    """
    found = Blocks()
    start = file.read(16)
    if start.startswith(_JPEG):
        _jpeg(found, file, 0)
    elif start.startswith(_PNG):
        _png(found, file)
    elif start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        _webp(found, file)
    elif is_tiff(start):
        _tiff(found, file)
    elif start == _FUJI:
        file.seek(_FUJI_JPEG)
        _jpeg(found, file, int.from_bytes(file.read(4), "big"))
    elif is_boxes(start):
        read_boxes(found, file)
    return found


def _tiff(found: Blocks, file: IO[bytes]) -> None:
    found.take_exif(lambda: read_exif(file))
    if exif := found.exif:
        found.xmp += [exif.xmp] if exif.xmp else []
        found.iptc = exif.iptc or iptc_in_photoshop(exif.photoshop)


def _jpeg(found: Blocks, file: IO[bytes], place: int) -> None:
    """Source: ITU-T T.81, annex B; Exif 3.0, 4.5.4; XMP part 3."""
    place += 2
    for _ in range(_MOST_SEGMENTS):
        file.seek(place)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
            return
        if head[1] == 0xFF:  # a marker may have any number of these before it
            place += 1
            continue
        if head[1] in _WITHOUT_LENGTH:
            place += 2
            continue
        size = max(int.from_bytes(head[2:], "big"), 2)
        if head[1] in _APPLICATIONS:
            _application(found, file.read(size - 2))
        place += 2 + size


def _application(found: Blocks, data: bytes) -> None:
    if data.startswith(EXIF_START):
        found.take_exif(lambda: read_exif(BytesIO(data), len(EXIF_START)))
    elif data.startswith(_XMP_START):
        found.xmp.append(data[len(_XMP_START) :])
    elif data.startswith(_PHOTOSHOP_START):
        found.iptc = found.iptc or iptc_in_photoshop(data[len(_PHOTOSHOP_START) :])


def _png(found: Blocks, file: IO[bytes]) -> None:
    """Source: PNG, third edition, 11.3.3.4 and 11.3.4.5."""
    place = len(_PNG)
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or kind == b"IEND":
            return
        if kind == b"eXIf":
            data = _read(file, size)
            found.take_exif(partial(read_exif, BytesIO(data)))
        elif kind == b"iTXt" and size > len(_PNG_XMP):
            data = _read(file, size)
            if data.startswith(_PNG_XMP):
                found.xmp.append(_png_text(data[len(_PNG_XMP) :]))
        place += 12 + size
    found.problems.append("the PNG has more parts than are looked at")


def _png_text(data: bytes) -> bytes:
    is_compressed = data[:1] == b"\1"
    text = data[2:].split(b"\0", 2)[-1]  # after a language, and the name in that
    if not is_compressed:
        return text
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(text, MOST_BLOCK_BYTES)
    except zlib.error as error:
        raise RefusedError(f"the XMP cannot be unpacked: {error}") from None
    if unpacker.unconsumed_tail:
        raise RefusedError(f"the XMP has more than {MOST_BLOCK_BYTES} bytes")
    return unpacked


def _webp(found: Blocks, file: IO[bytes]) -> None:
    """Source: RFC 9649, section 2.7.1."""
    place = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        size, kind = int.from_bytes(head[4:], "little"), head[:4]
        if len(head) < 8:
            return
        if kind == b"EXIF":
            data = _read(file, size)
            start = len(EXIF_START) if data.startswith(EXIF_START) else 0
            found.take_exif(partial(read_exif, BytesIO(data), start))
        elif kind == b"XMP ":
            found.xmp.append(_read(file, size))
        place += 8 + (size + 1 & ~1)
    found.problems.append("the WebP has more parts than are looked at")


def _read(file: IO[bytes], size: int) -> bytes:
    if size > MOST_BLOCK_BYTES:
        raise RefusedError(f"the metadata have more than {MOST_BLOCK_BYTES} bytes")
    return file.read(size)
