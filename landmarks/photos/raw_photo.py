"""RAW files: the camera's own JPEG inside, of full size; where there is none, the sensor's data.

Never a thumbnail. A preview counts as of full size if its sides are at least half the sensor's: no
less than what the sensor's data give at half size, one pixel for each square of its colour filters.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from landmarks.errors import InvalidPhotoError
from landmarks.photos.embedded_jpegs import embedded_jpegs
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.opened_photo import LoadedPhoto
from landmarks.photos.pillow_photo import PillowPhoto
from landmarks.photos.tiff_directories import is_reduced, tiff_directories

if TYPE_CHECKING:
    from rawpy import RawPy

# LibRaw's codes of how to turn an image, as EXIF's.
_ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
# A preview's shares of the sensor's sides, which may have margins that are not shown.
_LEAST_SHARE, _MOST_SHARE = 0.5, 1.1
# The shorter side of a preview whose sensor's size is unknown.
_LEAST_SIDE = 1000
# Of LibRaw, for a pixel: the sensor's value, four colours, the result.
_SENSOR_BYTES, _WORKING_BYTES = 2, 18
_SRGB_GAMMA = (2.4, 12.92)


class RawPhoto:
    """A RAW file: its preview of full size, else its sensor's data."""

    def __init__(self, data: bytes, kind: str, limits: PhotoLimits) -> None:
        """Read the header and look for previews.

        Raises InvalidPhotoError if neither a preview of full size nor the sensor's data can be
        read, or one is over a limit.
        """
        self.format = kind
        self._raw = _opened(data)
        sensor, self._orientation = _sensor(data, self._raw)
        self._preview: PillowPhoto | None = None
        try:
            self._preview = _preview(data, sensor, limits)
            if self._preview is not None:
                self.width, self.height = self._preview.width, self._preview.height
                self._turn_preview = _is_wide(sensor) == _is_wide((self.width, self.height))
            else:
                self.width, self.height = self._readable(sensor)
                limits.check_pixels(self.width, self.height)
        except BaseException:
            self.close()
            raise

    def _readable(self, sensor: tuple[int, int] | None) -> tuple[int, int]:
        if self._raw is None or sensor is None:
            raise InvalidPhotoError(
                f"the {self.format} file holds no preview of full size, and is of a camera that"
                " LibRaw does not know, or damaged; save the photo as JPEG or DNG"
            )
        return sensor

    def close(self) -> None:
        """Release the file's bytes."""
        if self._raw is not None:
            self._raw.close()
        if self._preview is not None:
            self._preview.close()

    def decoding_bytes(self, least: int | None) -> int:
        """Return about how many bytes of memory `load` takes."""
        if self._preview is not None:
            return self._preview.decoding_bytes(least)
        pixels = self.width * self.height
        worked_on = pixels // 4 if self._at_half_size(least) else pixels
        return _SENSOR_BYTES * pixels + _WORKING_BYTES * worked_on

    def load(self, least: int | None) -> LoadedPhoto:
        """Decode the preview, or develop the sensor's data; raises nearly anything on damage."""
        if self._preview is None:
            return self._developed(least)
        loaded = self._preview.load(least)
        orientation = loaded.orientation
        # A preview that states none lies as the sensor does, unless it stands already.
        if orientation == 1 and self._turn_preview:
            orientation = self._orientation
        return replace(loaded, orientation=orientation)

    def _developed(self, least: int | None) -> LoadedPhoto:
        import rawpy

        assert self._raw is not None  # noqa: S101 - else the header would have been refused
        try:
            pixels = self._raw.postprocess(
                half_size=self._at_half_size(least),
                use_camera_wb=True,
                gamma=_SRGB_GAMMA,
                output_bps=8,
            )
        except rawpy.LibRawError as error:
            why = error.args[0] if error.args else error
            raise ValueError(why.decode() if isinstance(why, bytes) else str(why)) from error
        # LibRaw leaves some data that it cannot unpack out, and says so nowhere.
        if pixels.min() == pixels.max():
            raise ValueError("its sensor's data cannot be unpacked")
        width, height = self.width, self.height
        if self._orientation >= 5:  # LibRaw has turned it
            width, height = height, width
        return LoadedPhoto(Image.fromarray(np.ascontiguousarray(pixels)), width, height)

    def _at_half_size(self, least: int | None) -> bool:
        return least is not None and min(self.width, self.height) // 2 >= least


def _opened(data: bytes) -> RawPy | None:
    """Open a file with LibRaw; None if it does not know the camera, or the file is damaged."""
    # Not at the top: nothing that only reads headers of other formats should load it.
    import rawpy

    raw = rawpy.RawPy()
    try:
        raw.open_buffer(BytesIO(data))
    except rawpy.LibRawError:
        raw.close()
        return None
    return raw


def _sensor(data: bytes, raw: RawPy | None) -> tuple[tuple[int, int] | None, int]:
    """Return the sensor's size, None if unknown, and the EXIF orientation."""
    if raw is not None:
        sizes = raw.sizes
        return (sizes.width, sizes.height), _ORIENTATIONS.get(sizes.flip, 1)
    directories = tiff_directories(data)
    full = [(one.number(_WIDTH), one.number(_HEIGHT)) for one in directories if not is_reduced(one)]
    largest = max(full, key=lambda size: size[0] * size[1], default=(0, 0))
    orientation = directories[0].number(_ORIENTATION, 1) if directories else 1
    return (largest if all(largest) else None), orientation


def _preview(
    data: bytes, sensor: tuple[int, int] | None, limits: PhotoLimits
) -> PillowPhoto | None:
    for jpeg in embedded_jpegs(data):
        short, long = sorted((jpeg.width, jpeg.height))
        if sensor is not None:
            shares = [mine / its for mine, its in zip((short, long), sorted(sensor), strict=True)]
            if max(shares) > _MOST_SHARE:
                continue
            if min(shares) < _LEAST_SHARE:
                return None
        elif short < _LEAST_SIDE:
            return None
        return PillowPhoto(jpeg.bytes_in(data), "JPEG", limits)
    return None


def _is_wide(size: tuple[int, int] | None) -> bool:
    return size is None or size[0] >= size[1]
