"""What could keep a photo out of the clusters: prominence, occlusion, viewpoint, look-alikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from landmarks.retrieval.projection import FloatMatrix, Floats, Labels

LOOK_ALIKE = "look-alikes"


@dataclass(frozen=True)
class Factor:
    """A property of photos that could keep them out of clusters.

    `guess` completes "photos in no cluster are those …". `sign` is 1 if the guess expects higher
    values outside, -1 if lower; `axis` labels the values, and `is_share` says whether they run from
    0 to 1.
    """

    name: str
    guess: str
    axis: str
    sign: int
    is_share: bool = False


KNOWN = (
    Factor(
        "prominence", "that show little of the landmark", "share of the frame", -1, is_share=True
    ),
    Factor("occlusion", "where something hides the landmark", "share hidden", 1, is_share=True),
    Factor("viewpoint", "taken from an unusual side", "degrees to the nearest other view", 1),
    Factor(LOOK_ALIKE, "that look like another landmark", "from least to most alike", 1),
)
_COLUMNS = {"prominence": ("prominence",), "occlusion": ("occluded",),
            "viewpoint": ("azimuth", "elevation")}  # fmt: skip


def from_columns(rows: Sequence[Mapping[str, str]], labels: Labels) -> dict[str, Floats]:
    """Return the factors for which these rows of a manifest (N) have columns, each (N,).

    A value that is not a number is NaN; a factor without any value is left out.
    """
    found: dict[str, Floats] = {}
    for name, columns in _COLUMNS.items():
        values = [np.array([_number(row.get(column, "")) for row in rows]) for column in columns]
        if name == "viewpoint":
            known = np.isfinite(values[0]) & np.isfinite(values[1])
            angles = np.full(len(rows), np.nan)
            angles[known] = unusual_view(values[0][known], values[1][known], labels[known])
            values = [angles]
        if np.isfinite(values[0]).any():
            found[name] = values[0]
    return found


def look_alikes(vectors: Mapping[str, FloatMatrix], labels: Labels) -> dict[str, Floats]:
    """Return for each model how much each photo (N,) looks like another landmark, to the others.

    The mean of the other models' standardised `look_alike`: a model's own is computed from the
    vectors that its map is drawn from, and would correlate by construction. A single model has to
    use its own.
    """
    margins = {name: standardised(look_alike(rows, labels)) for name, rows in vectors.items()}
    return {
        name: np.mean(
            [margins[each] for each in margins if each != name] or [margins[name]], axis=0
        )
        for name in margins
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def unusual_view(azimuths: Floats, elevations: Floats, labels: Labels) -> Floats:
    """Return the angle (N,), in degrees, to the nearest direction its landmark is seen from.

    Directions are those of the other photos of the same landmark; azimuth and elevation (N,) in
    degrees. NaN where a landmark has one photo only.
    """
    a, e = np.radians(azimuths), np.radians(elevations)
    directions = np.stack([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)], axis=1)
    angles = np.full(len(labels), np.nan)
    for landmark in np.unique(labels):
        here = np.flatnonzero(labels == landmark)
        if len(here) > 1:
            cosines = directions[here] @ directions[here].T
            np.fill_diagonal(cosines, -1)
            angles[here] = np.degrees(np.arccos(np.clip(cosines.max(axis=1), -1, 1)))
    return angles


def look_alike(vectors: FloatMatrix, labels: Labels) -> Floats:
    """Return how much nearer (N,) the nearest photo of another landmark is than of the same one.

    The difference of two cosine similarities of unit rows (N, D); above 0 another landmark is the
    nearest. NaN where a landmark has one photo only, or there is one landmark only.
    """
    margins = np.full(len(labels), np.nan)
    for landmark in np.unique(labels):
        mine = labels == landmark
        here = np.flatnonzero(mine)
        if len(here) < 2 or mine.all():
            continue
        own = vectors[here] @ vectors[here].T
        np.fill_diagonal(own, -np.inf)
        others = vectors[here] @ vectors[~mine].T
        margins[here] = others.max(axis=1) - own.max(axis=1)
    return margins


def standardised(values: Floats) -> Floats:
    """Return values (N,) with mean 0 and deviation 1, NaN left out; 0 where all are the same."""
    spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
    if not spread:
        return values * 0.0
    scaled: Floats = (values - np.nanmean(values)) / spread
    return scaled
