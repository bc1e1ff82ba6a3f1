"""Pixels of any mode as RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageCms

from landmarks.photos.colour_profiles import in_srgb


def to_rgb(image: Image.Image, *, colour_profiles: bool) -> Image.Image:
    """Return any mode as RGB. Transparent pixels become white, as on a page.

    `colour_profiles`: where the file holds a profile of its colours, these are converted to sRGB.
    """
    if colour_profiles and (profile := image.info.get("icc_profile")):
        deep = image.mode.startswith("I") or image.mode == "F"
        image = in_srgb(_grey(image) if deep else image, profile)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return _grey(image).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        if converted is None:
            raise ValueError("LAB colours could not be converted")
        return converted
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        page = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(page, layered).convert("RGB")
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Return 16-bit, 32-bit and float greys in 8 bits; Pillow would clip them at 255.

    Floats are read as 0–1 if none is above 1, else as 0–255 if none is above 255, else, like
    integers, as 0–65,535.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0, neginf=0)
    white = 65535.0
    if image.mode == "F" and values.max(initial=0) <= 255:
        white = 1.0 if values.max(initial=0) <= 1 else 255.0
    shades = np.clip(np.rint(values * (255 / white)), 0, 255).astype(np.uint8)
    return Image.fromarray(shades)
