"""Which photos are in no cluster, told in two ways that were fixed before looking.

Primary, as the study's guess has it, on the map: HDBSCAN (Campello, Moulavi and Sander 2013),
which knows no labels, calls the photo noise, or puts it into a group that is no landmark's.
Check, without the map: fewer than half of the photo's nearest neighbours in the embedding show its
landmark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.study.maps import Floats, Labels

Flags = npt.NDArray[np.bool_]

NOISE = -1
NOBODY = -1
LOW_PURITY = 0.5
_SMALLEST_CLUSTER = (3, 15)  # bounds of the least number of photos that make a cluster
_CORE_PHOTOS = 5  # HDBSCAN's own default; more would call more photos noise


@dataclass(frozen=True)
class Clusters:
    """`of` (N,) is each photo's cluster on the map, NOISE for none; clusters count from 0.

    `owner` (clusters,) is the landmark that most of a cluster's photos show, NOBODY where none is
    more than half.
    """

    of: Labels
    owner: Labels
    smallest: int
    core_photos: int

    @property
    def owner_of(self) -> Labels:
        """The landmark (N,) whose cluster each photo is in; NOBODY for noise."""
        return np.append(self.owner, NOBODY)[self.of]

    @property
    def outside(self) -> Flags:
        """Whether each photo (N,) is in no landmark's cluster."""
        flags: Flags = self.owner_of == NOBODY
        return flags


def clusters_on_map(points: Floats, labels: Labels) -> Clusters:
    """Return HDBSCAN's clusters of map points (N, 2).

    A cluster is at least half of a typical landmark's photos (3 to 15): labels decide nothing but
    this number. Leaves of the hierarchy, not its most persistent clusters: those are often several
    landmarks at once, and what is sought is as small as one.
    """
    from sklearn.cluster import HDBSCAN

    typical = int(np.median(np.unique(labels, return_counts=True)[1]))
    smallest = int(np.clip(typical // 2, *_SMALLEST_CLUSTER))
    core_photos = min(_CORE_PHOTOS, smallest)
    of = np.full(len(points), NOISE, np.int64)
    if len(points) > smallest:
        method = HDBSCAN(
            min_cluster_size=smallest,
            min_samples=core_photos,
            cluster_selection_method="leaf",
            copy=True,
        )
        of = method.fit(points).labels_.astype(np.int64)
    owner = [_majority(labels[of == cluster]) for cluster in range(of.max(initial=NOISE) + 1)]
    return Clusters(of, np.array(owner, np.int64), smallest, core_photos)


def low_purity(purities: Floats) -> Flags:
    """Return which photos (N,) have less than half of their neighbours of their own landmark."""
    flags: Flags = np.nan_to_num(purities, nan=1.0) < LOW_PURITY
    return flags


def kappa(one: Flags, other: Flags) -> float:
    """Return Cohen's kappa of two yes-or-no judgements: 1 the same, 0 no better than chance.

    NaN where both say the same of all photos, so that there is nothing to agree on.
    """
    agreed = float(np.mean(one == other))
    shares = float(one.mean()), float(other.mean())
    chance = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")


def compact_landmarks(clusters: Clusters, labels: Labels) -> dict[int, int]:
    """Return the landmarks most of whose photos are in one cluster that is theirs, and which."""
    own: dict[int, int] = {}
    for cluster, owner in enumerate(clusters.owner.tolist()):
        there = int(((labels == owner) & (clusters.of == cluster)).sum())
        if owner != NOBODY and 2 * there > int((labels == owner).sum()):
            own[owner] = cluster
    return own


def _majority(labels: Labels) -> int:
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()]) if 2 * counts.max() > len(labels) else NOBODY
