"""What queries would find if everything were looked at: what recall is measured against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from landmarks.vector_store.points import FloatVector

Numbers = npt.NDArray[np.int64]
# Says which of the vectors with these numbers a query may find: booleans (queries, vectors).
Allowed = Callable[[Numbers], npt.NDArray[np.bool_]]


def nearest(
    queries: FloatVector,
    batches: Iterable[tuple[int, FloatVector]],
    limit: int,
    allowed: Allowed | None = None,
) -> Numbers:
    """Return the numbers (queries, limit) of the nearest vectors, in any order; -1 for none.

    Rows are of unit length; of `batches` each has the number of its first vector.
    """
    scores = np.full((len(queries), limit), -np.inf, np.float32)
    numbers = np.full((len(queries), limit), -1, np.int64)
    for first, rows in batches:
        own = np.arange(first, first + len(rows))
        more = queries @ rows.T
        if allowed is not None:
            more = np.where(allowed(own), more, -np.inf)
        scores = np.concatenate([scores, more], axis=1)
        numbers = np.concatenate([numbers, np.broadcast_to(own, more.shape)], axis=1)
        best = np.argpartition(-scores, limit - 1, axis=1)[:, :limit]
        scores = np.take_along_axis(scores, best, axis=1)
        numbers = np.take_along_axis(numbers, best, axis=1)
    return np.where(np.isfinite(scores), numbers, -1)


def recall(found: Sequence[Sequence[UUID]], truth: Sequence[frozenset[UUID]]) -> float:
    """Return the share of what there is to find that was found. Raises ValueError for nothing."""
    there = sum(len(one) for one in truth)
    if not there:
        raise ValueError("there is nothing to find")
    hits = (len(want.intersection(got)) for got, want in zip(found, truth, strict=True))
    return sum(hits) / there
