"""Decodes photos to upright RGB, and refuses bytes that are not a photo or over a limit.

What phones, cameras and scanners write: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF (first page),
HEIC, AVIF, JPEG XL, JPEG 2000 and RAW. Each format's reader is a file of its own, and is an
`OpenedPhoto`. The limits are checked against the file's header, before anything is decoded. Colour
profiles are applied as the rules say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from landmarks.errors import InvalidPhotoError
from landmarks.photos.box import Box
from landmarks.photos.colours import to_rgb
from landmarks.photos.decoding_room import DECODING_ROOM
from landmarks.photos.decoding_rules import NEWEST, DecodingRules
from landmarks.photos.file_headers import JPEG_START
from landmarks.photos.file_kinds import JXL_CONTAINER, JXL_STREAM, isobmff_kind, refuse_video
from landmarks.photos.heif_photo import HeifPhoto
from landmarks.photos.jxl_photo import JxlPhoto
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.opened_photo import LoadedPhoto, OpenedPhoto
from landmarks.photos.pillow_photo import PillowPhoto
from landmarks.photos.raw_kind import raw_kind
from landmarks.photos.raw_photo import RawPhoto

_NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF, JPEG XL, JPEG 2000 or a camera's RAW format"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Those that lay a photo on its side.
_SIDEWAYS = frozenset({5, 6, 7, 8})
# Enough for a JPEG's own header; the metadata of cameras and editors may be longer.
_EARLY_BYTES = 4096
# Of a box, in pixels: fewer show nothing.
_LEAST_SIDE = 8


@dataclass(frozen=True)
class RgbPhoto:
    """A decoded photo, upright, mode RGB. `width` and `height` are the file's own, upright.

    `image` may be smaller than that, if scaling down while decoding was allowed, and is only the
    requested part, if there was one. `marks` says in words what was amiss with the file.
    """

    image: Image.Image
    width: int
    height: int
    format: str
    marks: tuple[str, ...] = ()


def declared_pixels(data: bytes, limits: PhotoLimits) -> int:
    """Return how many pixels the header of a photo declares, without decoding it.

    Raises InvalidPhotoError if the bytes are not a photo, or over a limit.
    """
    photo = _opened(data, limits)
    photo.close()
    return photo.width * photo.height


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
    """Return the format of a photo, by Pillow's name, from its header; raises as above.

    A RAW file's is its usual suffix, such as "DNG".
    """
    photo = _opened(data, limits)
    photo.close()
    return photo.format


def decode(
    data: bytes,
    limits: PhotoLimits,
    decode_size: int | None = None,
    box: Box | None = None,
    rules: DecodingRules = NEWEST,
) -> RgbPhoto:
    """Return the photo in `data`, or the part of it in `box`, decoded by `rules`.

    With `decode_size` a photo may be scaled down while decoding, but not below it: JPEG, JPEG 2000
    and RAW wherever that saves work, others where they have more than 64 million pixels.

    Raises InvalidPhotoError if the bytes are not a photo, damaged, or over a limit, and if the part
    has next to no pixels.
    """
    photo = _opened(data, limits)
    try:
        least = decode_size
        if decode_size is not None and box is not None:
            least = math.ceil(decode_size / _narrowest(box))
        size = photo.decoding_bytes(least)
        limits.check_decoding(photo.format, size)
        with DECODING_ROOM.held(size):
            loaded, upright = _upright(photo, least, rules)
    finally:
        photo.close()
    width, height = loaded.width, loaded.height
    if loaded.orientation in _SIDEWAYS:
        width, height = height, width
    if box is not None:
        upright = _part(upright, box, width, height)
    return RgbPhoto(upright, width, height, photo.format, loaded.marks)


def _upright(
    photo: OpenedPhoto, least: int | None, rules: DecodingRules
) -> tuple[LoadedPhoto, Image.Image]:
    try:
        loaded = photo.load(least)
        turn = _UPRIGHT.get(loaded.orientation)
        turned = loaded.image if turn is None else loaded.image.transpose(turn)
        return loaded, to_rgb(turned, colour_profiles=rules.colour_profiles)
    except (MemoryError, InvalidPhotoError):
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        why = str(error).split("\n")[0].strip().rstrip(".")
        raise InvalidPhotoError(
            f"the {photo.format} file is truncated or damaged ({why}); send the whole file, or"
            " save it again from an image editor"
        ) from error


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


def _opened(data: bytes, limits: PhotoLimits) -> OpenedPhoto:
    limits.check_bytes(len(data))
    try:
        photo = _reader(data, limits)
        limits.check_pixels(photo.width, photo.height)
    except UnidentifiedImageError as error:
        refuse_video(data)
        raise InvalidPhotoError(
            f"the bytes are not a photo that can be read: they are no {_NAMES}; convert it to one"
            " of these"
        ) from error
    except (MemoryError, InvalidPhotoError):
        raise
    except Exception as error:  # parsers raise nearly anything on damaged files
        raise InvalidPhotoError(
            f"the photo's header is damaged ({error}); save it again from an image editor"
        ) from error
    return photo


def _reader(data: bytes, limits: PhotoLimits) -> OpenedPhoto:
    if data.startswith(JPEG_START):
        return PillowPhoto(data, "JPEG", limits)
    if data.startswith((JXL_STREAM, JXL_CONTAINER)):
        return JxlPhoto(data, limits)
    if kind := raw_kind(data):
        return RawPhoto(data, kind, limits)
    match isobmff_kind(data):
        case "HEIF":
            return HeifPhoto(data)
        case "AVIF":
            return PillowPhoto(data, "AVIF", limits)
    return PillowPhoto(data, "", limits)
