"""The statistics that vectors are drawn from, measured on real embeddings.

`python -m benchmarks.scale.embedding_statistics MANIFEST --split train` writes
`embedding_statistics.json`, which holds variances and a mean, and neither a photo nor an embedding.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.scale.synthetic_vectors import EmbeddingStatistics, SyntheticCollection
from encoder_service.settings import EncoderSettings
from landmarks.retrieval.labelled_photos import read_photos
from landmarks.vector_store.points import FloatVector
from landmarks_tools.evaluation.embeddings import embeddings

_NEIGHBOURS = 20
# What is tried out: photos of a view, the photos' share of a landmark's scatter, unevenness.
_VIEWS = (4, 8, 16, 25)
_SHARES = (0.6, 0.7, 0.8, 0.9)
_UNEVENNESS = (0.0, 0.25, 0.35, 0.45)
_PERCENTILES = (10, 50, 90)
_LEAST_PHOTOS = 10


@dataclass(frozen=True)
class Neighbours:
    """What decides how hard a search is.

    `nearest` and `tenth` are the percentiles 10, 50 and 90 of the cosine to a photo's nearest and
    tenth nearest other; `dimension` is the intrinsic dimension around a photo.
    """

    nearest: tuple[float, ...]
    tenth: tuple[float, ...]
    dimension: float

    def __str__(self) -> str:
        """Return them in words."""
        nearest, tenth = (
            "/".join(f"{c:.2f}" for c in found) for found in (self.nearest, self.tenth)
        )
        return f"nearest {nearest}, tenth {tenth}, intrinsic dimension {self.dimension:.1f}"

    def away(self, other: Neighbours) -> float:
        """Return how unlike two are; 0 for the same."""
        cosines = np.subtract(self.nearest + self.tenth, other.nearest + other.tenth)
        return float(np.abs(cosines).mean() + 0.2 * abs(np.log(self.dimension / other.dimension)))


def neighbours(rows: FloatVector) -> Neighbours:
    """Return what is known of the neighbours of unit rows (N, dimension).

    The intrinsic dimension is the maximum-likelihood estimate of Levina and Bickel (2004) with 20
    neighbours, averaged as MacKay and Ghahramani (2005) correct it.
    """
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    best = -np.sort(-cosines, axis=1)[:, :_NEIGHBOURS]
    distances = np.sqrt(np.maximum(2 - 2 * best, 1e-9))
    logarithms = np.log(distances[:, -1:] / distances[:, :-1]).mean(axis=1)
    return Neighbours(
        tuple(float(one) for one in np.percentile(best[:, 0], _PERCENTILES)),
        tuple(float(one) for one in np.percentile(best[:, 9], _PERCENTILES)),
        float(1 / logarithms.mean()),
    )


def measured(rows: FloatVector, labels: Sequence[str]) -> EmbeddingStatistics:
    """Return the statistics of embeddings: unit rows (N, dimension), and what each shows.

    Labels do not show how a landmark's scatter divides into that of views and of photos: several
    divisions are tried, and the one whose drawn neighbours resemble the real ones most is kept.
    """
    counts = Counter(labels)
    known = np.array([counts[label] >= _LEAST_PHOTOS for label in labels])
    if not known.any():
        raise ValueError(f"no landmark has {_LEAST_PHOTOS} photos")
    rows, labels = rows[known], [label for label, one in zip(labels, known, strict=True) if one]
    mean = rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows - mean, full_matrices=False)
    turned = (rows - mean) @ axes.T
    names, place = np.unique(labels, return_inverse=True)
    own_means = np.stack([turned[place == one].mean(axis=0) for one in range(len(names))])
    within = ((turned - own_means[place]) ** 2).sum(axis=0) / (len(rows) - len(names))
    between = np.maximum(turned.var(axis=0) - within, 0)
    statistics = EmbeddingStatistics(_tuple(axes @ mean), _tuple(between), (), (), 1, 0.0)
    each = max(2, round(len(rows) / len(names)))
    real = neighbours(rows)
    tried = [
        replace(
            statistics,
            of_photos=_tuple(share * within),
            of_views=_tuple((1 - share) * within),
            photos_per_view=views,
            unevenness=uneven,
        )
        for views, share, uneven in itertools.product(_VIEWS, _SHARES, _UNEVENNESS)
    ]
    drawn = [(neighbours(drawn_rows(one, len(rows), each)), one) for one in tried]
    near, best = min(drawn, key=lambda pair: pair[0].away(real))
    return replace(best, about=f"real: {real}; drawn alike: {near}")


def drawn_rows(
    statistics: EmbeddingStatistics, count: int, photos_per_landmark: int
) -> FloatVector:
    """Return drawn vectors, as many as that."""
    drawing = SyntheticCollection(statistics, count, photos_per_landmark)
    return np.concatenate([rows for _, rows in drawing.batches()])


def _tuple(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def main(
    manifest: Path,
    split: Annotated[list[str] | None, typer.Option(help="repeatable; without it, all")] = None,
    model: Annotated[str, typer.Option(help="one of the encoders")] = "vgg16",
) -> None:
    """Measure and keep the statistics of a model's embeddings."""
    photos = read_photos(manifest, split or [])
    rows = embeddings(model, photos, EncoderSettings.load())
    found = measured(rows, [photo.landmark for photo in photos])
    statistics = replace(found, about=f"{len(photos)} photos by {model}; {found.about}")
    statistics.save()
    typer.echo(statistics.about)


if __name__ == "__main__":
    typer.run(main)
