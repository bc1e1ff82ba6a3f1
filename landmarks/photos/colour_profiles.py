"""Embedded ICC profiles: colours of a photo as sRGB, by LittleCMS.

Relative colorimetric with black point compensation: what sRGB can show stays as it is, and only
colours outside are clipped. Perceptual tables differ from one maker to the next, and the matrix
profiles of cameras and phones have none.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

# Profiles of printing presses take up to 3 MB; of cameras, some kilobytes.
_MOST_BYTES = 4 * 1024 * 1024
_HEADER_BYTES = 128
_SIGNATURE = b"acsp"
# Input, display, output and colour space. Links, abstract and named profiles describe no photo.
_CLASSES = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
# Chains of elements without a bound, which LittleCMS would apply to tens of thousands of colours.
_UNBOUNDED = b"mpet"
# By the modes of images that a profile's colour space can be of.
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
# Two profiles of sRGB differ by a level or so out of 255.
_SAME_LEVELS = 2
_KEPT = 32

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image with its colours in sRGB, mode RGB or RGBA.

    It is returned as it is where `profile` is none, sRGB's, damaged, of another kind of image, or
    so large that no program writes it.
    """
    if not profile or not (_HEADER_BYTES < len(profile) <= _MOST_BYTES):
        return image
    mode = _MODES.get(profile[16:20])
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK"):
        return image
    if mode == "L" and image.mode not in ("L", "LA", "1"):
        return image
    conversion = _conversion(bytes(profile), mode)
    if conversion is None:
        return image
    if not image.has_transparency_data:
        return conversion.apply(image if image.mode == mode else image.convert(mode))
    layered = image.convert("RGBA")
    converted = conversion.apply(layered.convert(mode))
    converted.putalpha(layered.getchannel("A"))
    return converted


@lru_cache(_KEPT)
def _conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion of a profile to sRGB; None where it changes or means nothing."""
    if profile[36:40] != _SIGNATURE or profile[12:16] not in _CLASSES or _UNBOUNDED in profile:
        return None
    try:
        conversion = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            _SRGB,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode == "RGB" and _is_identity(conversion):
            return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # damaged
        return None
    return conversion


def _is_identity(conversion: ImageCms.ImageCmsTransform) -> bool:
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = np.asarray(conversion.apply(Image.fromarray(colours)))
    return bool(np.abs(converted.astype(int) - colours).max() <= _SAME_LEVELS)
