"""What a JPEG 2000 code stream declares, which may differ from what the file around it does."""

from __future__ import annotations

from dataclasses import dataclass

from landmarks.errors import InvalidPhotoError

_STREAM_START = b"\xff\x4f\xff\x51"
_SIZE_BYTES = 40
_CODING_STYLE = 0x52
_TILE_START = 0x90
_MOST_SEGMENTS = 200
# OpenJPEG makes room for all of them first: about ten kilobytes each.
_MOST_TILES = 8192


@dataclass(frozen=True)
class Jpeg2000Header:
    """Width and height in pixels, and how often both can be halved while decoding."""

    width: int
    height: int
    levels: int


def jpeg2000_header(data: bytes) -> Jpeg2000Header:
    """Read the markers SIZ and COD. Source: ITU-T T.800, annex A.

    Raises InvalidPhotoError if they are damaged or declare far too many tiles.
    """
    start = data.find(_STREAM_START)
    size = data[start + 4 : start + 4 + _SIZE_BYTES]
    if start < 0 or len(size) < _SIZE_BYTES:
        raise _refused("is damaged (it has no size)")
    right, lower, left, upper, tile_width, tile_height, tile_left, tile_upper = (
        int.from_bytes(size[place : place + 4], "big") for place in range(4, 36, 4)
    )
    if not (tile_width and tile_height and right > left >= tile_left and lower > upper):
        raise _refused("is damaged (its sizes make no sense)")
    tiles = -(-(right - tile_left) // tile_width) * -(-(lower - tile_upper) // tile_height)
    if tiles > _MOST_TILES:
        raise _refused(f"has far more tiles than a photo needs ({tiles:,})")
    return Jpeg2000Header(right - left, lower - upper, _levels(data, start + 2))


def _levels(data: bytes, place: int) -> int:
    for _ in range(_MOST_SEGMENTS):
        marker = data[place + 1 : place + 2]
        if data[place : place + 1] != b"\xff" or marker == bytes([_TILE_START]):
            break
        if marker == bytes([_CODING_STYLE]):
            return data[place + 9] if len(data) > place + 9 else 0
        place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return 0


def _refused(why: str) -> InvalidPhotoError:
    return InvalidPhotoError(
        f"the JPEG 2000 file's header {why}; save it again from an image editor"
    )
