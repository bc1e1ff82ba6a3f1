"""Thumbnails of photos, no larger than they are displayed."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageOps

from landmarks.photos.decode import decode
from landmarks.photos.limits import ANY_SIZE

_QUALITY = 80


@lru_cache(maxsize=4096)
def thumbnail(path: Path, side: int) -> bytes:
    """Return the photo's middle square as a JPEG of `side` × `side` pixels, upright."""
    upright = decode(path.read_bytes(), ANY_SIZE, 2 * side).image
    small = ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS)
    return jpeg(small)


def jpeg(picture: Image.Image) -> bytes:
    """Return a picture as a JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def data_uri(image: bytes) -> str:
    """Return a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(image).decode("ascii")
