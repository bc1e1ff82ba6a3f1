"""Photos that Pillow itself reads: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and JPEG 2000.

One `PillowPhoto` is one file. Of a GIF or AVIF the first frame is read, of a JPEG with further
pictures behind it (MPO, Ultra HDR, motion photos) the photo itself, of a TIFF the first page.
"""

from __future__ import annotations

import math
import warnings

from PIL import AvifImagePlugin, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.TiffImagePlugin import TiffImageFile

from landmarks.errors import InvalidPhotoError
from landmarks.photos import jpeg_end, tiff_pixels
from landmarks.photos.av1_size import largest_av1_picture
from landmarks.photos.bounded_reads import BoundedReads
from landmarks.photos.file_headers import SCAN, excessive_header, jpeg_scans, webp_size
from landmarks.photos.jpeg2000_header import Jpeg2000Header, jpeg2000_header
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.opened_photo import LoadedPhoto, reduction

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
_EXIF_ORIENTATION = 0x0112
# A progressive photo has about ten. Each takes as long as all pixels do, in as few as 36 bytes.
_MOST_SCANS = 100
# A TIFF's tags, and how many pixels its tiles may hold for each that is accepted.
_TILE_SIDES = (322, 323)
_TILES_SHARE = 2
# Calls to read a file, by Pillow's parsers: some for each part of it. The limits leave room for a
# GIF's description in blocks of 255 bytes, and for a PNG's pixels in chunks of a kilobyte.
_HEADER_READS = 10_000
_PIXEL_READS = 100_000
# While decoding, as measured: the decoder's own picture, where it has one, and Pillow's, of four
# bytes a pixel for any but greys.
_BYTES_PER_PIXEL = {"WEBP": 12, "AVIF": 8, "GIF": 5}
_USUAL_BYTES = 4
# The RGB copy, of pictures that are not scaled down.
_COPY_BYTES = 4
# A grey of 16 or 32 bits is worked on as floats.
_DEEP_BYTES = 16
# libjpeg keeps the coefficients of all of a progressive photo: two bytes each, of three channels.
_PROGRESSIVE_BYTES = 6
# OpenJPEG's integers, of up to four channels, and Pillow's picture.
_JPEG2000_BYTES = 20
# Modes whose values mean something on average.
_AVERAGED_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"})
# Pillow's own guard warns or raises by a constant; ours is a setting, and checked on each header.
Image.MAX_IMAGE_PIXELS = None
# Cores are divided among photos, not within one.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


class PillowPhoto:
    """A file that Pillow has opened, its header checked."""

    def __init__(self, data: bytes, formats: str, limits: PhotoLimits) -> None:
        """Open a file of one of `formats`; "" is any that Pillow reads.

        Raises InvalidPhotoError if it is damaged or over a limit, UnidentifiedImageError if it is
        of none of the formats.
        """
        _silence_pillow()
        if excess := excessive_header(data):
            raise InvalidPhotoError(
                f"the photo's header has far more {excess} than a photo needs; save it again from"
                " an image editor"
            )
        if (declared := webp_size(data)) is not None:  # Pillow allocates its canvas to open it
            limits.check_pixels(*declared)
        self._data = data
        self._limits = limits
        self._image = _opened(BoundedReads(data, _HEADER_READS), formats)
        try:
            tiff_pixels.to_full_page(self._image, data)
            # A JPEG with further pictures inside, as of many phones, is opened as MPO.
            name = self._image.format or ""
            self.format = "JPEG" if name == "MPO" else name
            self.width, self.height = self._image.size
            limits.check_pixels(*self._image.size)
            self._levels = self._check_work()
        except InvalidPhotoError:
            self._image.close()
            raise

    def close(self) -> None:
        """Release the file's bytes."""
        self._image.close()

    def decoding_bytes(self, least: int | None) -> int:
        """Return about how many bytes of memory `load` takes."""
        pixels = self.width * self.height
        if self.format == "JPEG":
            scaled = pixels // self._jpeg_scale(least) ** 2
            kept = pixels if "progressive" in self._image.info else 0
            return (_USUAL_BYTES + _COPY_BYTES) * scaled + _PROGRESSIVE_BYTES * kept
        if self.format == "JPEG2000":
            return _JPEG2000_BYTES * (pixels >> 2 * self._halvings(least))
        if self._image.mode.startswith(("I", "F")):
            return _DEEP_BYTES * pixels
        copied = _COPY_BYTES if reduction(self.width, self.height, least) == 1 else 0
        return (_BYTES_PER_PIXEL.get(self.format, _USUAL_BYTES) + copied) * pixels

    def load(self, least: int | None) -> LoadedPhoto:
        """Decode the pixels; raises nearly anything on damaged files."""
        image, marks = self._image, tuple[str, ...]()
        if self.format == "TIFF":
            tiff_pixels.prepare(image)
        self._scale_while_decoding(image, least)
        _allow_pixels(image)
        if self.format == "JPEG":
            image, marks = self._jpeg(least)
        else:
            image.load()
        width, height = self.width, self.height
        if self.format == "TIFF":  # Pillow has applied the orientation to these
            width, height = image.size
            image = tiff_pixels.in_range(image)
        orientation = _orientation(image)
        factor = reduction(*image.size, least)
        if factor > 1 and image.mode in _AVERAGED_MODES and "transparency" not in image.info:
            image = image.reduce(factor)
        return LoadedPhoto(image, width, height, orientation, marks)

    def _jpeg(self, least: int | None) -> tuple[Image.Image, tuple[str, ...]]:
        """Decode a JPEG, also one that has no end marker if all of its pixels are there."""

        def decoded(data: bytes) -> Image.Image:
            image = _opened(BoundedReads(data, _PIXEL_READS), "JPEG")
            self._scale_while_decoding(image, least)
            image.load()
            return image

        error = OSError("image file is truncated")
        if not jpeg_end.is_filled_up(self._data):
            try:
                self._image.load()
            except OSError as found:
                if "truncated" not in str(found):
                    raise
                error = found
            else:
                return self._image, jpeg_end.marks(self._data)
        image = jpeg_end.complete(self._data, decoded)
        if image is None:
            raise error
        return image, (jpeg_end.NO_END,)

    def _scale_while_decoding(self, image: Image.Image, least: int | None) -> None:
        if least is None:
            return
        if self.format == "JPEG":
            image.draft(image.mode, (least, least))
        elif isinstance(image, Jpeg2KImageFile):
            image.reduce = self._halvings(least)

    def _jpeg_scale(self, least: int | None) -> int:
        """Return what Pillow's draft mode divides the sides by."""
        scale = 1 if least is None else min(self.width, self.height) // max(1, least)
        return max(n for n in (1, 2, 4, 8) if n <= max(1, scale))

    def _halvings(self, least: int | None) -> int:
        if least is None or self._levels is None:
            return 0
        side, halvings = min(self.width, self.height), 0
        while halvings < self._levels.levels and side >> (halvings + 1) >= max(1, least):
            halvings += 1
        return halvings

    def _check_work(self) -> Jpeg2000Header | None:
        """Refuse files that take far more time or memory than their pixels would."""
        image, data, limits = self._image, self._data, self._limits
        may_be_many = self.format == "JPEG" and data.count(SCAN) > _MOST_SCANS
        if may_be_many and jpeg_scans(data, _MOST_SCANS) > _MOST_SCANS:
            raise InvalidPhotoError(
                f"the JPEG has more than {_MOST_SCANS} scans, or far more segments than a photo"
                " needs; save it again from an image editor"
            )
        if isinstance(image, TiffImageFile):
            _check_tiles(image, limits)
        if self.format == "AVIF":
            width, height = largest_av1_picture(data)
            if width * height > max(self.width * self.height, 1) * _TILES_SHARE:
                raise InvalidPhotoError(
                    f"the AVIF declares {self.width:,} × {self.height:,} pixels and holds"
                    f" {width:,} × {height:,}; save it again from an image editor"
                )
        if self.format == "JPEG2000":
            header = jpeg2000_header(data)
            limits.check_pixels(header.width, header.height)
            return header
        return None


def _opened(file: BoundedReads, formats: str) -> Image.Image:
    tiff_pixels.extend_pillow()
    try:
        return Image.open(file, formats=(formats,) if formats else FORMATS)
    except (MemoryError, InvalidPhotoError, UnidentifiedImageError):
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged files
        raise InvalidPhotoError(
            f"the photo's header is damaged ({error}); save it again from an image editor"
        ) from error


def _allow_pixels(image: Image.Image) -> None:
    if isinstance(image, ImageFile) and isinstance(image.fp, BoundedReads):
        image.fp.allow(_PIXEL_READS)


def _check_tiles(image: TiffImageFile, limits: PhotoLimits) -> None:
    width, height = (image.tag_v2.get(tag, 0) for tag in _TILE_SIDES)
    if not (isinstance(width, int) and isinstance(height, int) and width and height):
        return
    # What is decoded is whole tiles.
    tiles = math.ceil(image.width / width) * math.ceil(image.height / height)
    most = min(limits.max_pixels, limits.max_decoding_bytes // _USUAL_BYTES)
    if tiles * width * height > _TILES_SHARE * most:
        raise InvalidPhotoError(
            f"the TIFF's {tiles:,} tiles of {width:,} × {height:,} pixels hold far more than the"
            " photo; save it again from an image editor"
        )


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
