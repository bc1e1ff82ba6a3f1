"""Vectors that resemble the embeddings of photos: drawn, in any number, from a few statistics.

A landmark's photos scatter about the landmark, and photos of one view about the view. So a vector
is the sum of the overall mean and of what its landmark, its view and the photo itself add; each is
normal, with variances measured on real embeddings (`EmbeddingStatistics`). The axes are those in
which all embeddings together are uncorrelated: cosines do not depend on the axes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import TypeAdapter

from landmarks.vector_store.points import FloatVector

PHOTOS_PER_LANDMARK = 50
_FILE = Path(__file__).parent / "embedding_statistics.json"
_SPARE = 50  # photos of each landmark that are in no collection, to ask with
_BATCH = 500


@dataclass(frozen=True)
class EmbeddingStatistics:
    """What is known of the embeddings of a model, along each axis; tuples of one length.

    `mean` of all; the variances `of_landmarks` (of their means), `of_views` within a landmark and
    `of_photos` of a view. `photos_per_view` share a view. `unevenness`: how much landmarks, views
    and photos differ in how far they scatter, as the deviation of a factor's logarithm.
    `about` says where they are from, and how near vectors drawn from them come.
    """

    mean: tuple[float, ...]
    of_landmarks: tuple[float, ...]
    of_views: tuple[float, ...]
    of_photos: tuple[float, ...]
    photos_per_view: int
    unevenness: float
    about: str = ""

    @classmethod
    def load(cls, path: Path = _FILE) -> Self:
        """Read what `save` wrote; by default what was measured for this program."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    def save(self, path: Path = _FILE) -> None:
        """Write the statistics, as JSON."""
        values = {
            name: [float(f"{one:.4g}") for one in value] if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        path.write_text(json.dumps(values) + "\n", encoding="utf-8")


class SyntheticCollection:
    """A collection of `count` drawn vectors, landmark after landmark; always the same."""

    def __init__(
        self,
        statistics: EmbeddingStatistics,
        count: int,
        photos_per_landmark: int = PHOTOS_PER_LANDMARK,
        seed: int = 0,
    ) -> None:
        self.count = count
        self.dimension = len(statistics.mean)
        self.photos_per_landmark = photos_per_landmark
        self.landmarks = -(-count // photos_per_landmark)
        self._likeness = statistics
        self._seed = seed
        self._mean = np.array(statistics.mean, np.float32)
        deviations = (statistics.of_landmarks, statistics.of_views, statistics.of_photos)
        self._landmark, self._view, self._photo = (
            np.sqrt(np.array(one, np.float32)) for one in deviations
        )

    def batches(self) -> Iterator[tuple[int, FloatVector]]:
        """Yield the vectors in batches, each with the number of its first: unit rows, float32."""
        together = max(1, _BATCH // self.photos_per_landmark)
        for landmark in range(0, self.landmarks, together):
            last = min(landmark + together, self.landmarks)
            rows = [self._rows(one)[: self.photos_per_landmark] for one in range(landmark, last)]
            first = landmark * self.photos_per_landmark
            yield first, np.concatenate(rows)[: self.count - first]

    def queries(self, count: int) -> FloatVector:
        """Return unit rows (count, dimension): further photos of landmarks, spread over all.

        Raises ValueError for more than there can be.
        """
        if count > self.landmarks * _SPARE:
            raise ValueError(f"{self.landmarks} landmarks have no {count} further photos")
        if count < self.landmarks:
            asked = [(number * self.landmarks // count, 0) for number in range(count)]
        else:
            asked = [(n % self.landmarks, n // self.landmarks) for n in range(count)]
        own = self.photos_per_landmark
        rows = [self._rows(landmark)[own + turn].copy() for landmark, turn in asked]
        return np.stack(rows)

    def landmark_of(self, number: int) -> int:
        """Return the landmark of a vector."""
        return number // self.photos_per_landmark

    def _rows(self, landmark: int) -> FloatVector:
        """Return the vectors of a landmark: its photos in the collection, then the spare ones."""
        generator = np.random.default_rng((self._seed, landmark))
        own, views_of_own = self.photos_per_landmark, self._likeness.photos_per_view
        views = max(1, own // views_of_own)
        view_of = np.concatenate([np.arange(own) % views, generator.integers(views, size=_SPARE)])
        rows = self._mean + self._landmark * self._normal(generator, 1)
        seen = rows + self._uneven(generator, 1) * self._view * self._normal(generator, views)
        photos = self._photo * self._normal(generator, own + _SPARE)
        rows = seen[view_of] + self._uneven(generator, own + _SPARE) * photos
        unit: FloatVector = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def _normal(self, generator: np.random.Generator, count: int) -> FloatVector:
        return generator.standard_normal((count, self.dimension), np.float32)

    def _uneven(self, generator: np.random.Generator, count: int) -> FloatVector:
        """Return factors (count, 1) whose mean square is 1."""
        unevenness = self._likeness.unevenness
        logarithms = unevenness * generator.standard_normal((count, 1), np.float32)
        factors: FloatVector = np.exp(logarithms - unevenness**2)
        return factors
