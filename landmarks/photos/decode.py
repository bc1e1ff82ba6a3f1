"""Decodes photos to RGB, and refuses bytes that are not a photo or over a limit.

JPEG, PNG, WebP, GIF (first frame), BMP and TIFF (first page). The limits are checked against the
file's header, before anything is decoded. Colour profiles are not applied.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from landmarks.errors import InvalidPhotoError
from landmarks.photos.bounded_reads import BoundedReads
from landmarks.photos.box import Box
from landmarks.photos.colours import to_rgb
from landmarks.photos.file_headers import (
    JPEG_START,
    SCAN,
    excessive_header,
    jpeg_scans,
    webp_size,
)
from landmarks.photos.limits import MAX_PHOTO_BYTES_SETTING, PhotoLimits

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_NAMES = "JPEG, PNG, WebP, GIF, BMP or TIFF"
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A progressive photo has about ten. Each takes as long as all pixels do, in as few as 36 bytes.
_MOST_SCANS = 100
# A TIFF's tags, and how many pixels its tiles may hold for each that is accepted.
_TILE_SIDES = (322, 323)
_TILES_SHARE = 2
# Calls to read a file, by Pillow's parsers: some for each part of it. The limits leave room for a
# GIF's description in blocks of 255 bytes, and for a PNG's pixels in chunks of a kilobyte.
_HEADER_READS = 10_000
_PIXEL_READS = 100_000
# Enough for a JPEG's own header; the metadata of cameras and editors may be longer.
_EARLY_BYTES = 4096
# Of a box, in pixels: fewer show nothing.
_LEAST_SIDE = 8
# Pillow's own guard warns or raises by a constant; ours is a setting, and checked on each header.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class RgbPhoto:
    """A decoded photo, upright, mode RGB. `width` and `height` are the file's own, upright.

    `image` may be smaller than that, if scaling down while decoding was allowed, and is only the
    requested part, if there was one.
    """

    image: Image.Image
    width: int
    height: int
    format: str


def declared_pixels(data: bytes, limits: PhotoLimits) -> int:
    """Return how many pixels the header of a photo declares, without decoding it.

    Raises InvalidPhotoError if the bytes are not a photo, or over a limit.
    """
    with _opened(data, limits) as image:
        return image.width * image.height


def pixels_declared_early(data: bytes, limits: PhotoLimits) -> int | None:
    """Return `declared_pixels` if the first bytes of a JPEG hold it; else None.

    It takes microseconds, and no more than a few milliseconds whatever the bytes are, so that an
    event loop may call it.
    """
    if len(data) > limits.max_bytes or not data.startswith(JPEG_START):
        return None
    try:
        with Image.open(BytesIO(data[:_EARLY_BYTES]), formats=("JPEG",)) as image:
            pixels = image.width * image.height
    except Exception:  # noqa: BLE001 - cut short or damaged, which `declared_pixels` reports
        return None
    return pixels if pixels <= limits.max_pixels else None


def format_of(data: bytes, limits: PhotoLimits) -> str:
    """Return the format of a photo, by Pillow's name, from its header; raises as above."""
    with _opened(data, limits) as image:
        return _kind(image)


def decode(
    data: bytes, limits: PhotoLimits, decode_size: int | None = None, box: Box | None = None
) -> RgbPhoto:
    """Return the photo in `data`, or the part of it in `box`.

    JPEGs may be scaled down while decoding, but not below `decode_size`.

    Raises InvalidPhotoError if the bytes are not a photo, damaged, or over a limit, and if the part
    has next to no pixels.
    """
    with _opened(data, limits) as image:
        kind = _kind(image)
        width, height = image.size
        try:
            if decode_size is not None and kind == "JPEG":
                least = decode_size if box is None else math.ceil(decode_size / _narrowest(box))
                image.draft(image.mode, (least, least))
            if isinstance(image, ImageFile) and isinstance(image.fp, BoundedReads):
                image.fp.allow(_PIXEL_READS)
            image.load()
            if kind == "TIFF":  # Pillow has applied the orientation to these
                width, height = image.size
            turn = _UPRIGHT.get(_orientation(image))
            upright = to_rgb(image if turn is None else image.transpose(turn))
        except (MemoryError, InvalidPhotoError):
            raise
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
            raise InvalidPhotoError(
                f"the {kind} file is truncated or damaged ({error}); send the whole file, or save"
                " it again from an image editor"
            ) from error
    if turn is not None and turn.name in {"TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"}:
        width, height = height, width
    if box is not None:
        upright = _part(upright, box, width, height)
    return RgbPhoto(upright, width, height, kind)


def _part(image: Image.Image, box: Box, width: int, height: int) -> Image.Image:
    """Return the part in `box` of an image that may be smaller than the file's width and height."""
    left, top, right, bottom = box.pixels(width, height)
    if min(right - left, bottom - top) < _LEAST_SIDE:
        raise InvalidPhotoError(
            f"the box holds {right - left} × {bottom - top} pixels of the photo's {width} ×"
            f" {height}, and must hold at least {_LEAST_SIDE} × {_LEAST_SIDE}; draw a larger one"
        )
    return image.crop(box.pixels(*image.size))


def _narrowest(box: Box) -> float:
    """Return the smaller side; the orientation, which says which is the width, is read later."""
    return min(box.right - box.left, box.bottom - box.top)


def _opened(data: bytes, limits: PhotoLimits) -> Image.Image:
    if not data:
        raise InvalidPhotoError("the photo is empty (0 bytes); send the contents of its file")
    if len(data) > limits.max_bytes:
        raise InvalidPhotoError(
            f"the photo has {len(data):,} bytes, and at most {limits.max_bytes:,} are accepted"
            f" ({MAX_PHOTO_BYTES_SETTING}); send a smaller copy"
        )
    _silence_pillow()
    if excess := excessive_header(data):
        raise InvalidPhotoError(
            f"the photo's header has far more {excess} than a photo needs; save it again from an"
            " image editor"
        )
    if (declared := webp_size(data)) is not None:  # Pillow allocates a WebP's canvas to open it
        _check_pixels(*declared, limits)
    try:
        image = Image.open(BoundedReads(data, _HEADER_READS), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise InvalidPhotoError(
            f"the bytes are not a photo that can be read: they are no {_NAMES}; convert it to one"
            " of these"
        ) from error
    except (MemoryError, InvalidPhotoError):
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged files
        raise InvalidPhotoError(
            f"the photo's header is damaged ({error}); save it again from an image editor"
        ) from error
    try:
        _check_pixels(*image.size, limits)
        _check_work(image, data, limits)
    except InvalidPhotoError:
        image.close()
        raise
    return image


def _check_work(image: Image.Image, data: bytes, limits: PhotoLimits) -> None:
    """Refuse files that take far more time or memory than their pixels would."""
    may_be_many = _kind(image) == "JPEG" and data.count(SCAN) > _MOST_SCANS
    if may_be_many and jpeg_scans(data, _MOST_SCANS) > _MOST_SCANS:
        raise InvalidPhotoError(
            f"the JPEG has more than {_MOST_SCANS} scans, or far more segments than a photo needs;"
            " save it again from an image editor"
        )
    if isinstance(image, TiffImageFile):
        width, height = (image.tag_v2.get(tag, 0) for tag in _TILE_SIDES)
        if not (isinstance(width, int) and isinstance(height, int) and width and height):
            return
        # What is decoded is whole tiles.
        tiles = math.ceil(image.width / width) * math.ceil(image.height / height)
        if tiles * width * height > _TILES_SHARE * limits.max_pixels:
            raise InvalidPhotoError(
                f"the TIFF's {tiles:,} tiles of {width:,} × {height:,} pixels hold far more than"
                " the photo; save it again from an image editor"
            )


def _check_pixels(width: int, height: int, limits: PhotoLimits) -> None:
    if width * height > limits.max_pixels:
        raise InvalidPhotoError(
            f"the photo declares {width:,} × {height:,} pixels, and at most"
            f" {limits.max_pixels:,} in all are accepted ({limits.pixels_setting}); send a smaller"
            " copy"
        )


def _kind(image: Image.Image) -> str:
    # A JPEG with further pictures inside, as of many phones, is opened as MPO.
    return "JPEG" if image.format == "MPO" else image.format or ""


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF does not make a photo unusable
        return 1


def _silence_pillow() -> None:
    # Pillow warns of oddities in files that it reads all the same. Checked each time, as other code
    # may have replaced the filters; catch_warnings is not safe between threads.
    wanted = ("ignore", None, Warning)
    if not any(entry[:3] == wanted and _is_ours(entry[3]) for entry in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES)


_PILLOW_MODULES = r"PIL\."


def _is_ours(module: object) -> bool:
    return getattr(module, "pattern", module) == _PILLOW_MODULES
