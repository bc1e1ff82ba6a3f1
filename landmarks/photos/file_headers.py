"""What file headers declare that Pillow does not report, or not before it allocates memory."""

from __future__ import annotations

import re

JPEG_START = b"\xff\xd8\xff"
SCAN = b"\xff\xda"
_JPEG_END = b"\xd9"
# Markers of segments: not those without a length, nor those inside the image data.
_JPEG_MARKER = re.compile(rb"\xff+([\x02-\xcf\xd9-\xfe])")


def jpeg_scans(data: bytes) -> int:
    """Return how many scans the first image of a JPEG file has.

    Source: ITU-T T.81, annex B. Bytes inside a segment that look like a marker are none.
    """
    scans, place = 0, len(JPEG_START) - 1
    while (found := _JPEG_MARKER.search(data, place)) and found[1] != _JPEG_END:
        place = found.end()
        scans += found[1] == SCAN[1:]
        place += int.from_bytes(data[place : place + 2], "big")
    return scans


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height that a WebP's header declares; None if it is not a WebP.

    Source: RFC 9649, sections 2.5 to 2.7.
    """
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    match data[12:16]:
        case b"VP8X":
            width, height = data[24:27], data[27:30]
            return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = data[26:28], data[28:30]
            return (
                int.from_bytes(width, "little") & 0x3FFF,
                int.from_bytes(height, "little") & 0x3FFF,
            )
        case _:
            return None
