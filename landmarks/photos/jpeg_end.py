"""JPEGs without an end marker, and with bytes behind it: decoded, and marked."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from landmarks.photos.file_headers import jpeg_length

NO_END = "the JPEG has no end marker, and all of its pixels"
FURTHER_BYTES = "further bytes follow the JPEG's end, such as a film or a second picture"

_END = b"\xff\xd9"
# Bytes of image data that are no zeros: a block that they are decoded to looks different from one
# that the decoder fills in for want of data.
_OTHER_DATA = b"\x5a\xa5" * 64


def is_filled_up(data: bytes) -> bool:
    """Say whether a JPEG has zeros in place of its end, as programs leave that rescue files."""
    return data.endswith(b"\0") and not jpeg_length(data)[1]


def marks(data: bytes) -> tuple[str, ...]:
    """Return what is amiss with the end of a JPEG that was decoded, in words."""
    return () if data.endswith(_END) else (FURTHER_BYTES,)


def complete(data: bytes, decoded: Callable[[bytes], Image.Image]) -> Image.Image | None:
    """Return a JPEG that has no end marker, if all of its pixels are there; else None.

    They are if it makes no difference which image data follow: a decoder that still wants some
    makes pixels of them.
    """
    # Zeros are image data too.
    rest = data.rstrip(b"\0")
    rest = rest[:-1] if rest.endswith(b"\xff") else rest
    image = decoded(rest + _END)
    return image if image.tobytes() == decoded(rest + _OTHER_DATA + _END).tobytes() else None
