"""Maps of an embedding by t-SNE, and how far they can be trusted.

t-SNE: van der Maaten and Hinton, "Visualizing Data using t-SNE" (2008). Trustworthiness: Venna and
Kaski, "Neighborhood Preservation in Nonlinear Projection Methods" (2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatMatrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

NEIGHBOURS = 10
PERPLEXITY = 30.0
_FEWEST = 4  # photos that a map can be drawn of
_CHUNK = 2048  # rows of similarities held at once


@dataclass(frozen=True)
class EmbeddingMap:
    """A map of N photos: `points` (N, 2) float64 within the unit square, aspect ratio kept.

    `trustworthiness` is 1 where all neighbours on the map are neighbours in the embedding, and
    about 0.5 where they are chance.
    """

    points: Floats
    perplexity: float
    trustworthiness: float
    neighbours: int  # that trustworthiness looked at


def tsne_map(vectors: FloatMatrix, *, seed: int = 0, random_start: bool = False) -> EmbeddingMap:
    """Return the t-SNE map of unit rows (N, D), N ≥ 4.

    Distances are Euclidean, which for unit rows order as cosine does. The map starts from the
    first two principal components, so that it keeps as much of the large-scale layout as t-SNE
    can (Kobak and Berens 2019); `random_start` takes noise instead, to see what remains of a map
    when it is drawn again. One thread: sums in another order would give another map.

    Raises ValueError for fewer photos.
    """
    from sklearn.manifold import TSNE, trustworthiness
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    count = len(vectors)
    if count < _FEWEST:
        raise ValueError(f"a map needs {_FEWEST} photos or more, not {count}")
    perplexity = min(PERPLEXITY, (count - 1) / 3)
    neighbours = min(NEIGHBOURS, (count - 1) // 2)
    with threadpool_limits(1):
        flat = bool(np.allclose(vectors, vectors[0]))  # no axes to start from
        drawn = TSNE(
            init="random" if random_start or flat or vectors.shape[1] < 2 else "pca",
            learning_rate="auto",
            perplexity=perplexity,
            random_state=seed,
        ).fit_transform(vectors)
        trusted = trustworthiness(vectors, drawn, n_neighbors=neighbours)
    return EmbeddingMap(_into_unit_square(drawn), perplexity, float(trusted), neighbours)


def nearest(points: FloatMatrix | Floats, k: int, *, cosine: bool) -> Labels:
    """Return the indices (N, k) of each row's nearest other rows, nearest first.

    By the dot product of unit rows if `cosine`, else by Euclidean distance. Exact; of equally
    near rows the first comes first. k is cut to N - 1.
    """
    count = len(points)
    k = min(k, count - 1)
    found = np.empty((count, k), np.int64)
    squares = np.einsum("ij,ij->i", points, points)
    for start in range(0, count, _CHUNK):
        rows = slice(start, min(start + _CHUNK, count))
        nearness = points[rows] @ points.T
        if not cosine:
            nearness = 2 * nearness - squares
        here = np.arange(rows.start, rows.stop)
        nearness[here - start, here] = -np.inf
        found[rows] = np.argsort(-nearness, axis=1, kind="stable")[:, :k]
    return found


def purity(neighbours: Labels, labels: Labels) -> Floats:
    """Return for each photo (N,) the share of its neighbours (N, k) that show its landmark.

    Of as many as possible: if a landmark has fewer than k other photos, having them all among the
    neighbours counts as 1. NaN if a landmark has only one photo.
    """
    same = (labels[neighbours] == labels[:, None]).sum(axis=1)
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    possible = np.minimum(counts[inverse] - 1, neighbours.shape[1])
    shares: Floats = np.where(possible > 0, same / np.maximum(possible, 1), np.nan)
    return shares


def _into_unit_square(points: npt.NDArray[np.floating]) -> Floats:
    wide = np.asarray(points, np.float64)
    low, high = wide.min(axis=0), wide.max(axis=0)
    extent = float((high - low).max()) or 1.0
    centred: Floats = (wide - (low + high) / 2) / extent + 0.5
    return centred
