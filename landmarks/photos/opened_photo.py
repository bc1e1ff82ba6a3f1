"""A photo whose header has been read and whose pixels have not: one contract for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL import Image

# Formats that cannot be decoded at a reduced size are scaled down by a whole number right after
# decoding, where they have more pixels than this. The vectors of smaller ones stay as they were.
_FULL_PIXELS = 64_000_000


@dataclass(frozen=True)
class LoadedPhoto:
    """Pixels of any mode, the size of the file's own, and the EXIF orientation still to apply.

    `width` and `height` are those of the stored pixels if an orientation is still to apply, else
    upright. `marks` says in words what was amiss with the file.
    """

    image: Image.Image
    width: int
    height: int
    orientation: int = 1
    marks: tuple[str, ...] = ()


class OpenedPhoto(Protocol):
    """What a format's reader returns.

    `width` and `height` are those that the header declares; `least` is the side below which a
    photo must not be scaled down, None where it must not be at all.
    """

    @property
    def format(self) -> str:
        """The file format."""

    @property
    def width(self) -> int:
        """Declared width in pixels."""

    @property
    def height(self) -> int:
        """Declared height in pixels."""

    def decoding_bytes(self, least: int | None) -> int:
        """Return about how many bytes of memory `load` takes."""

    def load(self, least: int | None) -> LoadedPhoto:
        """Decode the photo; raises nearly anything on damaged files."""

    def close(self) -> None:
        """Release the file's bytes."""


def reduction(width: int, height: int, least: int | None) -> int:
    """Return the whole number by which a large photo is scaled down; 1: not at all."""
    if least is None or width * height <= _FULL_PIXELS:
        return 1
    return max(1, min(width, height) // max(1, least))


def from_rows(
    mode: str, size: tuple[int, int], data: bytes | memoryview, stride: int, factor: int
) -> Image.Image:
    """Return pixels in rows of `stride` bytes as an image scaled down by `factor`.

    It is made in bands, as Pillow takes four bytes for a pixel of three.
    """
    width, height = size
    if factor == 1:
        return Image.frombytes(mode, size, data, "raw", mode, stride)
    small = Image.new(mode, (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, 4_000_000 // (width * factor))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        part = data[top * stride : (top + count) * stride]
        band = Image.frombytes(mode, (width, count), part, "raw", mode, stride)
        small.paste(band.reduce(factor), (0, top // factor))
    return small
