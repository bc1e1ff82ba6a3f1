"""Labelled photos of a manifest or folder, as evaluation and the study read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo on this disk and what it shows. `columns` are the manifest's others, `split` too."""

    path: Path
    name: str  # relative to the source, with "/"
    landmark: str
    split: str
    columns: Mapping[str, str]


def read_photos(source: Path, splits: Sequence[str]) -> list[LabelledPhoto]:
    """Return the labelled photos of these splits, in the source's order.

    Raises InvalidInputError where the source cannot be used, names no such split, or lists a photo
    that is not there or has no landmark (with the number of such photos and the first of them).
    """
    raise NotImplementedError
