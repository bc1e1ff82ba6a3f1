"""What could keep a photo out of the clusters: prominence, occlusion, viewpoint, look-alikes."""

from __future__ import annotations

import numpy as np

from evaluation.study.maps import FloatMatrix, Floats, Labels


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
