"""JPEG XL, by pillow-jxl-plugin: libjxl. Its own orientation is applied, that in EXIF is not."""

from __future__ import annotations

import numpy as np
from PIL import Image

from landmarks.errors import InvalidPhotoError
from landmarks.photos.file_kinds import JXL_CONTAINER, JXL_STREAM
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.opened_photo import LoadedPhoto, from_rows, reduction
from landmarks.photos.pillow_photo import PillowPhoto

# libjxl's floats, its rows of bytes, Pillow's picture and its RGB copy.
_BYTES_PER_PIXEL = 16
# Ratios of width to height that a header may name in place of the width.
_RATIOS = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_MOST_BOXES = 100
# Enough for the size and what follows it.
_HEADER_BYTES = 64
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


class JxlPhoto:
    """A JPEG XL file, naked or in its container. A JPEG packed into it is read as that JPEG."""

    format = "JXL"

    def __init__(self, data: bytes, limits: PhotoLimits) -> None:
        """Read the header; raises InvalidPhotoError if it is damaged or that of an animation."""
        self.width, self.height = _size(_stream_start(data))
        self._data = data
        self._limits = limits

    def decoding_bytes(self, least: int | None) -> int:
        """Return about how many bytes of memory `load` takes."""
        del least  # libjxl decodes all of it
        return self.width * self.height * _BYTES_PER_PIXEL

    def load(self, least: int | None) -> LoadedPhoto:
        """Decode it, upright; raises RuntimeError and others on damaged files."""
        # Not at the top: nothing that only reads headers of other formats should load it.
        from pillow_jxl import Decoder

        is_jpeg, info, pixels, profile, _boxes = Decoder(num_threads=0)(self._data)
        if is_jpeg:  # its pixels are stored as the camera held them, and its EXIF counts
            return PillowPhoto(bytes(pixels), "JPEG", self._limits).load(least)
        size, mode = (info.width, info.height), info.mode
        if mode in _CHANNELS:
            pixels = _as_bytes(pixels, size[0] * size[1] * _CHANNELS[mode])
            factor = reduction(*size, least)
            image = from_rows(mode, size, pixels, size[0] * _CHANNELS[mode], factor)
        else:
            mode = "F" if mode == "F;16" else mode
            image = Image.frombytes(mode, size, pixels)
        if profile:
            image.info["icc_profile"] = bytes(profile)
        return LoadedPhoto(image, *size)

    def close(self) -> None:
        """Nothing is open."""


def _as_bytes(pixels: bytes, count: int) -> bytes:
    """Return values as bytes of 0 to 255; greys with alpha come as they are stored, in 16 bits.

    See `findings/pillow-jxl-grey-alpha.sh`.
    """
    if len(pixels) == count:
        return pixels
    if len(pixels) == 2 * count:
        shades = np.frombuffer(pixels, "<u2") // 257
    else:
        shades = np.rint(np.clip(np.nan_to_num(np.frombuffer(pixels, "<f4")), 0, 1) * 255)
    return bytes(shades.astype(np.uint8))


def _stream_start(data: bytes) -> bytes:
    """Return the first bytes of the code stream. Source: ISO/IEC 18181-2, the boxes."""
    if data.startswith(JXL_STREAM):
        return data[:_HEADER_BYTES]
    place = len(JXL_CONTAINER)
    for _ in range(_MOST_BOXES):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        start = place + 8
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if kind in {b"jxlc", b"jxlp"}:
            start += 4 if kind == b"jxlp" else 0  # the number of the part
            return data[start : start + _HEADER_BYTES]
        if size < 8:
            break
        place += size
    raise _damaged("it has no image")


class _Bits:
    """Reads numbers from the lowest bit on."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def __call__(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise _damaged("it ends in its header")
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value


def _size(stream: bytes) -> tuple[int, int]:
    """Return the upright width and height. Source: ISO/IEC 18181-1, SizeHeader, ImageMetadata."""
    if not stream.startswith(JXL_STREAM):
        raise _damaged("it has no image")
    bits = _Bits(stream[2:])
    width, height = _dimensions(bits)
    turned = False
    if not bits(1) and bits(1):  # not all metadata are the usual ones, and there are further ones
        turned = bits(3) >= 4
        if bits(1):
            _dimensions(bits)
        if bits(1):
            raise _damaged("it has a preview, which no program writes")
        if bits(1):
            raise InvalidPhotoError(
                "the JPEG XL file is an animation, not a photo; send one frame of it"
            )
    return (height, width) if turned else (width, height)


def _dimensions(bits: _Bits) -> tuple[int, int]:
    small = bits(1)
    height = 8 * (1 + bits(5)) if small else 1 + bits((9, 13, 18, 30)[bits(2)])
    if ratio := bits(3):
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return (8 * (1 + bits(5)) if small else 1 + bits((9, 13, 18, 30)[bits(2)])), height


def _damaged(why: str) -> InvalidPhotoError:
    return InvalidPhotoError(
        f"the JPEG XL file's header is damaged ({why}); save it again from an image editor"
    )
