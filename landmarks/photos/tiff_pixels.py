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


def in_range(image: Image.Image) -> Image.Image:
    """After loading: return greys of more than 8 bits with 0 as black and 65,535 as white.

    Pillow leaves those in which 0 is white as they are stored, and those of 12 bits below 4,096.
    """
    if not isinstance(image, TiffImageFile) or not image.mode.startswith("I;16"):
        return image
    twelve = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE) == (12,)
    inverted = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if not (twelve or inverted):
        return image
    values = np.asarray(image).astype(np.uint16)
    if twelve:
        values = (values << 4 | values >> 8).astype(np.uint16)
    turned = Image.fromarray(np.uint16(65535) - values if inverted else values)
    turned.info = image.info
    return turned
