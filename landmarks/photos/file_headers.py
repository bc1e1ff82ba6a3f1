"""What file headers declare that Pillow does not report, or not before it allocates memory."""

from __future__ import annotations

import re

from landmarks.photos.tiff_directories import MOST_ENTRIES, tiff_directories

JPEG_START = b"\xff\xd8\xff"
SCAN = b"\xff\xda"
_JPEG_END = b"\xd9"
# Markers of segments: not those without a length, nor those inside the image data. Any number of
# FF may precede one; a pattern with FF+ would try each of them again, up to the end of all.
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_JPEG_MARKER_OR_START = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")

# Before a JPEG's first scan. A panorama with its depth has some hundred segments.
_MOST_SEGMENTS = 2000
# Of the segments that decoding needs: tables and the frame, which take a kilobyte or two.
_MOST_TABLE_BYTES = 16 * 1024
# Of EXIF, which Pillow joins piece by piece, and whose directory it reads.
_MOST_EXIF_BYTES = 2 * 1024 * 1024
# Photoshop's: some dozen in a photo.
_RESOURCE = b"8BIM"
_MOST_RESOURCES = 2000
# A PNG has one; each is unpacked.
_PROFILE = b"iCCP"
_MOST_PROFILES = 8
# In a TIFF: as many as the lines of a photo of 64 million pixels, in three planes.
_MOST_STRIPS = 32_768
_STRIP_TAGS = frozenset({273, 279, 324, 325})

# As Pillow looks for segments: any bytes before a marker are passed over.
_ANY_MARKER = re.compile(rb"\xff([^\xff])")
_WITHOUT_LENGTH = frozenset({0, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
_APPLICATION = frozenset({*range(0xE0, 0xF0), 0xFE})


def excessive_header(data: bytes) -> str:
    """Return what of a file's header would take long to read, in words; "" if it is quick.

    It looks at the parts that Pillow reads before the pixels, where these are of a kind that
    Pillow itself reads whole and works through.
    """
    if data.startswith(JPEG_START):
        return _excessive_jpeg(data)
    if data.startswith(b"\x89PNG") and data.count(_PROFILE) > _MOST_PROFILES:
        return "colour profiles"
    if _tiff_strips(data) > _MOST_STRIPS:
        return "tags, strips or tiles"
    return ""


def _excessive_jpeg(data: bytes) -> str:
    """Source: ITU-T T.81, annex B, read as Pillow 13 does."""
    segments = table_bytes = exif_bytes = resources = 0
    place = len(JPEG_START) - 1
    while found := _ANY_MARKER.search(data, place):
        place, marker = found.end(), found[1][0]
        if marker == SCAN[1]:
            break
        segments += 1
        if segments > _MOST_SEGMENTS:
            return "segments before its image"
        if marker in _WITHOUT_LENGTH:
            continue
        size = max(2, int.from_bytes(data[place : place + 2], "big"))
        if marker not in _APPLICATION:
            table_bytes += size
        elif data.startswith(b"Exif\0\0", place + 2):
            exif_bytes += size
        elif marker == 0xED:
            resources += data.count(_RESOURCE, place, place + size)
        place += size
    if table_bytes > _MOST_TABLE_BYTES:
        return "bytes of tables"
    if exif_bytes > _MOST_EXIF_BYTES:
        return "bytes of EXIF"
    return "image resources" if resources > _MOST_RESOURCES else ""


def _tiff_strips(data: bytes) -> int:
    """Return the most strips or tiles that a directory of a TIFF declares.

    One with too many tags to look at counts as one of too many strips.
    """
    directories = tiff_directories(data)
    if any(one.entries > MOST_ENTRIES for one in directories):
        return _MOST_STRIPS + 1
    return max((one.counts.get(tag, 0) for one in directories for tag in _STRIP_TAGS), default=0)


def jpeg_scans(data: bytes, most: int) -> int:
    """Return how many scans the first image of a JPEG file has, or some more than `most`.

    Source: ITU-T T.81, annex B. Bytes inside a segment that look like a marker are none.
    """
    scans, segments, place = 0, 0, len(JPEG_START) - 1
    while (found := _JPEG_MARKER.search(data, place)) and found[1] != _JPEG_END:
        place = found.end()
        scans += found[1] == SCAN[1:]
        segments += 1
        if scans > most or segments > _MOST_SEGMENTS:
            return max(scans, most + 1)
        place += int.from_bytes(data[place : place + 2], "big")
    return scans


def jpeg_length(data: bytes | memoryview) -> tuple[int, bool]:
    """Return how many bytes the first JPEG in `data` has, and whether it has an end marker.

    One without it ends where another starts, or with the data. Source: ITU-T T.81, annex B. A
    picture inside a segment does not end it.
    """
    place = len(JPEG_START) - 1
    for _ in range(_MOST_SEGMENTS):
        found = _JPEG_MARKER_OR_START.search(data, place)
        if found is None:
            break
        place = found.end()
        if found[1] == _JPEG_END:
            return place, True
        if found[1] == JPEG_START[1:2]:
            return found.start(), False
        place += int.from_bytes(data[place : place + 2], "big")
    return len(data), False


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
