"""The photos that every part must refuse in words, or take as they are meant."""

import numpy as np
from PIL import Image

from tests.support.photos import drawn_photo, exif, png_declaring, saved

PHOTO = drawn_photo()
JPEG = saved(PHOTO, "JPEG", quality=95)


def bad_photos(byte_cap: int) -> dict[str, tuple[bytes, str]]:
    """Return photos that cannot be encoded, and words that the refusal of each must have."""
    return {
        "not an image": (b"#!/bin/sh\necho surely not a photo\n", "not a photo"),
        "truncated": (JPEG[: len(JPEG) // 2], "truncated"),
        "no bytes": (b"", "empty"),
        "decompression bomb": (png_declaring(40_000, 40_000), "40,000 × 40,000 pixels"),
        "too many bytes": (JPEG + bytes(byte_cap), f"{byte_cap:,}"),
    }


# Each with its upright, plain copy: both must get the same vector.
ODD = {
    "EXIF orientation 6": (
        saved(PHOTO.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif(6)),
        JPEG,
    ),
    "CMYK": (saved(PHOTO.convert("CMYK"), "JPEG", quality=95), JPEG),
    "16-bit": (
        saved(Image.fromarray(np.asarray(PHOTO.convert("L"), np.uint16) * 257)),
        saved(PHOTO.convert("L")),
    ),
    "palette": (saved(PHOTO.quantize(256)), JPEG),
    "opaque RGBA": (saved(PHOTO.convert("RGBA")), JPEG),
    "animated GIF": (
        saved(PHOTO, "GIF", save_all=True, append_images=[drawn_photo(seed=1)]),
        JPEG,
    ),
}
