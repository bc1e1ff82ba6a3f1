"""Which photos are in no cluster, by two measures that are the same for all photos and encoders.

The primary one, as in the study's hypothesis, uses the map: of the groups that HDBSCAN (Campello,
Moulavi and Sander 2013) finds without labels, the photo is, at none of several scales, in one that
is a landmark's. The check does not use the map: fewer than half of the photo's nearest
neighbours in the embedding show its landmark, of as many as could (see `projection.purity`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from landmarks.retrieval.projection import Floats, Labels

Flags = npt.NDArray[np.bool_]

NOBODY = -1
LOW_PURITY = 0.5
_SMALLEST_CLUSTER = (3, 15)  # bounds of the least number of photos that make a cluster
_CORE_PHOTOS = 5  # HDBSCAN's own default; more would call more photos noise


@dataclass(frozen=True, eq=False)
class Clusters:
    """`owner_of` (N,) is the landmark whose cluster each photo is in, NOBODY for none.

    A cluster is owned by the landmark that more than half of its photos show. `compact` gives, of
    the landmarks most of whose photos are in one cluster of their own, those photos. `sizes` are
    the least numbers of photos of a cluster at each scale.
    """

    owner_of: Labels
    compact: Mapping[int, Labels]
    sizes: tuple[int, ...]

    @property
    def outside(self) -> Flags:
        """Whether each photo (N,) is in no landmark's cluster."""
        flags: Flags = self.owner_of == NOBODY
        return flags


def clusters_on_map(points: Floats, labels: Labels) -> Clusters:
    """Return the clusters of map points (N, 2).

    The first scale is half of what a typical landmark has (3 to 15 photos), and takes the leaves of
    HDBSCAN's hierarchy: its most persistent clusters are often several landmarks at once. The
    photos of a landmark that has many more would fall apart into leaves, so there are further
    scales, each of double the size, up to half of the largest landmark; they take the most
    persistent clusters. A photo belongs to the finest cluster that is owned.
    """
    from sklearn.cluster import HDBSCAN

    values, photos_of = np.unique(labels, return_counts=True)
    counts: dict[int, int] = dict(zip(values.tolist(), photos_of.tolist(), strict=True))
    sizes = _scales(list(counts.values()))
    owner_of = np.full(len(points), NOBODY, np.int64)
    compact: dict[int, Labels] = {}
    for size in (size for size in sizes if size < len(points)):
        finest = size == sizes[0]
        method = HDBSCAN(
            min_cluster_size=size,
            min_samples=min(_CORE_PHOTOS, size),
            cluster_selection_method="leaf" if finest else "eom",
            allow_single_cluster=not finest,  # one landmark may be all there is so large
            copy=True,
        )
        groups = method.fit(points).labels_
        for group in range(groups.max(initial=-1) + 1):
            members = np.flatnonzero(groups == group)
            owner = _majority(labels[members])
            if owner == NOBODY:
                continue
            owner_of[members[owner_of[members] == NOBODY]] = owner
            own = members[labels[members] == owner]
            if 2 * len(own) > counts[owner]:
                compact.setdefault(owner, own)
    return Clusters(owner_of, compact, sizes)


def _scales(counts: Sequence[int]) -> tuple[int, ...]:
    sizes = [int(np.clip(np.median(counts) // 2, *_SMALLEST_CLUSTER))]
    while 2 * sizes[-1] <= max(counts) // 2:
        sizes.append(2 * sizes[-1])
    return tuple(sizes)


def low_purity(purities: Floats) -> Flags:
    """Return which photos (N,) have less than half of their neighbours of their own landmark.

    A photo without others of its landmark (NaN) can be neither in a cluster nor out of one, and is
    not to be asked about.
    """
    flags: Flags = purities < LOW_PURITY
    return flags


def kappa(one: Flags, other: Flags) -> float:
    """Return Cohen's kappa of two yes-or-no judgements: 1 the same, 0 no better than chance.

    NaN where both say the same of all photos, so that there is nothing to agree on.
    """
    agreed = float(np.mean(one == other))
    shares = float(one.mean()), float(other.mean())
    chance = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")


def _majority(labels: Labels) -> int:
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()]) if 2 * counts.max() > len(labels) else NOBODY
