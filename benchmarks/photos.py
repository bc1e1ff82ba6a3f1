"""The photos that everything is measured with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from landmarks.errors import InvalidInputError
from landmarks_tools.sample_gallery.gallery import ensure_sample_gallery
from landmarks_tools.sample_gallery.landmarks import LANDMARKS

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_MOST = 96


def photos_of(folder: Path) -> list[Path]:
    """Return photos below a folder, evenly taken. Raises InvalidInputError where there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise InvalidInputError(f"there is no photo in {folder}", field="photos")
    step = max(1, len(found) / _MOST)
    return [found[int(place * step)] for place in range(min(_MOST, len(found)))]


def drawn_photos(*, quick: bool) -> list[Path]:
    """Return views of the sample gallery: large enough that decoding is work, as of real photos."""
    names = tuple(LANDMARKS)
    if quick:
        folder = ensure_sample_gallery(views=2, size=224, landmarks=names[:3], workers=1)
    else:
        folder = ensure_sample_gallery(views=2, size=640)
    return sorted((folder / "images").rglob("*.jpg"))


def read(photos: Sequence[Path]) -> list[bytes]:
    """Return the photos' bytes."""
    return [photo.read_bytes() for photo in photos]
