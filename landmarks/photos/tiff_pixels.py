"""TIFFs whose values Pillow 13 reads wrongly or not at all, read right.

See `findings/pillow-tiff-16-bit.sh`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.ImageFile import _Tile
from PIL.TiffImagePlugin import TiffImageFile

from landmarks.photos.tiff_directories import is_reduced, tiff_directories

_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
_PLANES_APART = 2


def extend_pillow() -> None:
    """Let Pillow open 16-bit greys of the byte order MM in which 0 is white."""
    key = (b"MM", _WHITE_IS_ZERO, (1,), 1, (16,), ())
    TiffImagePlugin.OPEN_INFO.setdefault(key, ("I;16B", "I;16B"))


def to_full_page(image: Image.Image, data: bytes) -> None:
    """Go to the first page that is not marked as a smaller copy; there may be one in front."""
    if not isinstance(image, TiffImageFile):
        return
    pages = [one for one in tiff_directories(data) if one.is_page]
    full = next((number for number, one in enumerate(pages) if not is_reduced(one)), 0)
    if full:
        image.seek(full)


def prepare(image: Image.Image) -> None:
    """Before loading: have libtiff read 16-bit planes that lie apart, uncompressed ones too.

    Pillow takes each byte of them for a pixel.
    """
    if not isinstance(image, TiffImageFile) or image.use_load_libtiff or not image.tile:
        return
    deep = max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
    if deep and image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _PLANES_APART:
        size = (image.tag_v2[TiffImagePlugin.IMAGEWIDTH], image.tag_v2[TiffImagePlugin.IMAGELENGTH])
        arguments = (f"{image.mode};16N", False, image.tag_v2.offset)
        image.tile = [_Tile("libtiff", (0, 0, *size), 0, arguments)]
        image.use_load_libtiff = True


def right_way_round(image: Image.Image) -> Image.Image:
    """After loading: turn 16-bit greys over in which 0 is white, as Pillow does for 8 bits."""
    white_is_zero = (
        isinstance(image, TiffImageFile)
        and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        and image.mode.startswith("I;16")
    )
    if not white_is_zero:
        return image
    turned = Image.fromarray(np.uint16(65535) - np.asarray(image).astype(np.uint16))
    turned.info = image.info
    return turned
