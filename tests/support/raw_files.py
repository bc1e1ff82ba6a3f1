"""RAW files for tests: a whole DNG, and for the formats that no program writes, their containers.

A container holds what the real one does around its picture: where its maker puts the preview, the
thumbnail and the size of the sensor's data. The data themselves are zeros.
"""

import struct
from io import BytesIO

import numpy as np
from PIL import Image

from tests.support.photos import saved

BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED = 1, 2, 3, 4, 5, 10
_SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, SIGNED: 8}
_CODES = {SHORT: "H", LONG: "I"}


def tiff(*pages: dict, start: bytes = b"II*\0", after: bytes = b"") -> bytes:
    """Return a little-endian file of directories, each of tag: (type, values).

    Bytes as the values of a LONG are put elsewhere, and the tag says where; a list of directories
    as those of tag 330, likewise.
    """
    out = bytearray(start + bytes(4) + after)

    def put(data: bytes) -> int:
        place = len(out)
        out.extend(data + bytes(len(data) % 2))
        return place

    def directory(entries: dict, following: int) -> int:
        packed = []
        for tag, (kind, given) in sorted(entries.items()):
            values = given
            if tag == 330:
                values = [directory(one, 0) for one in given]
            elif kind == LONG and isinstance(given, bytes):
                values = [put(given)]
            if kind in _CODES:
                data = struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
            elif kind in {RATIONAL, SIGNED}:
                data = struct.pack(f"<{len(values)}{'I' if kind == RATIONAL else 'i'}", *values)
            else:
                data = values
            count = len(data) // _SIZES[kind]
            value = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", put(data))
            packed.append(struct.pack("<HHI", tag, kind, count) + value)
        table = struct.pack("<H", len(packed)) + b"".join(packed) + struct.pack("<I", following)
        return put(table)

    following = 0
    for page in reversed(pages):
        following = directory(page, following)
    out[4:8] = struct.pack("<I", following)
    return bytes(out)


def page(width: int, height: int, pixels: bytes) -> dict:
    """Return a directory of 8-bit RGB pixels, uncompressed."""
    return {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [1]),
        262: (SHORT, [2]),
        273: (LONG, pixels),
        277: (SHORT, [3]),
        278: (LONG, [height]),
        279: (LONG, [len(pixels)]),
    }


def planes(values: np.ndarray, rows: int, bits: int) -> bytes:
    """Return a TIFF of one plane for each colour, each in strips of so many rows."""
    height, width = values.shape[:2]
    strips = [
        np.ascontiguousarray(values[top : top + rows, :, band])
        for band in range(3)
        for top in range(0, height, rows)
    ]
    data = b"".join(strip.astype("<u2" if bits == 16 else "u1").tobytes() for strip in strips)
    entries = page(width, height, data)
    entries |= {258: (SHORT, [bits] * 3), 278: (LONG, [rows]), 284: (SHORT, [2])}
    sizes = [strip.size * bits // 8 for strip in strips]
    # The data come first in the file, right after its start.
    places = [8 + sum(sizes[:number]) for number in range(len(sizes))]
    entries |= {273: (LONG, places), 279: (LONG, sizes)}
    return tiff(entries, after=data)


def thumbnail() -> dict:
    """Return the directory of a thumbnail of 80 × 60 that shows nothing of the photo: grey."""
    return page(80, 60, b"\x80" * (80 * 60 * 3)) | {254: (LONG, [1])}


def sensor(width: int, height: int, compression: int = 1, data: bytes = b"") -> dict:
    """Return the directory of a sensor's data."""
    return {
        254: (LONG, [0]),
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [16]),
        259: (SHORT, [compression]),
        262: (SHORT, [32803]),
        273: (LONG, data or bytes(64)),
        277: (SHORT, [1]),
        278: (LONG, [height]),
        279: (LONG, [len(data) or 64]),
        33421: (SHORT, [2, 2]),
        33422: (BYTE, bytes([0, 1, 1, 2])),
    }


def dng(photo: Image.Image, orientation: int = 1, preview: bytes = b"") -> bytes:
    """Return a DNG of the photo's pixels as a sensor sees them, with a thumbnail in front.

    Source: Adobe's DNG specification 1.4. The data are linear, in a pattern of RGGB.
    """
    shades = np.asarray(photo, np.float64) / 255
    linear = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    values = np.rint(mosaic * 65535).astype("<u2").tobytes()
    # From XYZ to the camera's colours, which are sRGB's; the camera's white is that of daylight.
    matrix = [32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570]
    full = sensor(photo.width, photo.height, data=values)
    full |= {50714: (SHORT, [0]), 50717: (LONG, [65535])}
    subs = [full]
    if preview:
        size = Image.open(BytesIO(preview)).size
        subs.append(page(*size, preview) | {254: (LONG, [1]), 259: (SHORT, [7]), 262: (SHORT, [6])})
    front = thumbnail() | {
        274: (SHORT, [orientation]),
        330: (LONG, subs),
        50706: (BYTE, bytes([1, 4, 0, 0])),
        50707: (BYTE, bytes([1, 1, 0, 0])),
        50708: (ASCII, b"Drawn Camera\0"),
        50721: (SIGNED, [part for value in matrix for part in (value, 10000)]),
        50728: (RATIONAL, [1, 1] * 3),
        50778: (SHORT, [21]),
    }
    return tiff(front)


def camera_raw(kind: str, preview: bytes, small: bytes, size: tuple[int, int]) -> bytes:
    """Return a container of one of the makers' formats with a preview and a thumbnail inside."""
    width, height = size
    make = {"NEF": b"NIKON CORPORATION\0", "ARW": b"SONY\0", "KDC": b"EASTMAN KODAK COMPANY\0"}
    grey = thumbnail()
    jpeg = {513: (LONG, preview), 514: (LONG, [len(preview)])}
    match kind:
        case "NEF":
            front = grey | {271: (ASCII, make[kind])}
            sub = {254: (LONG, [1]), 259: (SHORT, [6])} | jpeg
            return tiff(front | {330: (LONG, [sub, sensor(width, height, 34713)])})
        case "ARW":
            front = grey | {271: (ASCII, make[kind])} | jpeg
            return tiff(front | {330: (LONG, [sensor(width, height, 32767)])})
        case "KDC":
            front = grey | {271: (ASCII, make[kind]), 65024: (LONG, [0])} | jpeg
            return tiff(front | {330: (LONG, [sensor(width, height, 65000)])})
        case "CR2":
            front = page(width, height, preview) | {259: (SHORT, [6]), 271: (ASCII, b"Canon\0")}
            return tiff(
                front,
                {513: (LONG, small), 514: (LONG, [len(small)])},
                sensor(width, height, 6) | {50752: (SHORT, [1, 2, 3])},
                after=b"CR\x02\0" + bytes(4),
            )
        case "ORF":
            front = sensor(width, height) | {271: (ASCII, b"OLYMPUS CORPORATION\0")}
            return tiff(front | {37500: (LONG, preview)}, start=b"IIRO")
        case "RW2":
            return tiff({271: (ASCII, b"Panasonic\0"), 46: (LONG, preview)}, start=b"IIU\0")
        case "RAF":
            head = b"FUJIFILMCCD-RAW 0201FF000000" + b"Drawn Camera".ljust(56, b"\0")
            place = struct.pack(">II", 160, len(preview))
            return (head + place).ljust(160, b"\0") + preview + bytes(64)
        case "CRW":
            start = b"II\x1a\0\0\0HEAPCCDR\2\0\1\0" + bytes(8)
            entries = ((0x2008, small), (0x2007, preview))
            heap, table = bytearray(), b""
            for tag, data in entries:
                table += struct.pack("<HII", tag, len(data), len(heap))
                heap += data
            place = struct.pack("<I", len(heap))
            return start + bytes(heap) + struct.pack("<H", len(entries)) + table + place
        case "CR3":

            def box(name: bytes, content: bytes) -> bytes:
                return struct.pack(">I", len(content) + 8) + name + content

            return (
                box(b"ftyp", b"crx \0\0\0\1crx isom")
                + box(b"moov", box(b"uuid", bytes(16) + box(b"THMB", bytes(16) + small)))
                + box(b"mdat", preview)
            )
    raise ValueError(kind)


def jpeg_of(photo: Image.Image, **options: object) -> bytes:
    """Return a photo as a JPEG of high quality."""
    return saved(photo, "JPEG", quality=95, **options)
