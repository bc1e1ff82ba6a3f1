"""How well photos of a landmark find its others: mAP, mAP@100, R@1 and R@5, with intervals.

A gallery photo is right for a query, or relevant, if both show the same landmark. Ranks count
from 1. Gallery photos of equal score keep the gallery's order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from landmarks.errors import InvalidInputError

FloatMatrix: TypeAlias = npt.NDArray[np.float32]
Values: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

DEPTH = 100
NEAREST = 10
RESAMPLES = 2000
_BLOCK_SCORES = 2_000_000  # of a block of queries with the whole gallery: 16 MB as float64


@dataclass(frozen=True)
class Estimate:
    """A mean over queries, and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LandmarkFigures:
    """One landmark's queries: how many were scored, and their means."""

    queries: int
    mean_average_precision: float
    recall_at_1: float


@dataclass(frozen=True, eq=False)
class RetrievalResult:
    """The metrics of one model, and what each query found.

    `left_out` counts the queries whose landmark has no gallery photo but themselves: they have no
    right answer, and no metric counts them. The arrays have one row for each of the Q other
    queries, whose places among all queries are `scored`:

    - `average_precisions`, float64 (Q,);
    - `first_right`, int64 (Q,): the rank of the first right photo, 0 where none was ranked;
    - `nearest`, int64 (Q, NEAREST at most): the first gallery photos; -1 where there is none.

    `confusions` counts (landmark of the query, landmark of a wrong first hit), most frequent first.
    """

    mean_average_precision: Estimate
    mean_average_precision_at_100: Estimate
    recall_at_1: Estimate
    recall_at_5: Estimate
    gallery: int
    left_out: int
    landmarks: Mapping[str, LandmarkFigures]
    confusions: Mapping[tuple[str, str], int]
    scored: Indices
    average_precisions: Values
    first_right: Indices
    nearest: Indices

    @property
    def queries(self) -> int:
        """How many queries the metrics are means over."""
        return len(self.scored)

    @property
    def figures(self) -> dict[str, Estimate]:
        """The metrics by their usual names."""
        return {
            "mAP": self.mean_average_precision,
            f"mAP@{DEPTH}": self.mean_average_precision_at_100,
            "R@1": self.recall_at_1,
            "R@5": self.recall_at_5,
        }


def average_precision(relevant: Flags, depth: int | None = None, total: int | None = None) -> float:
    """Return the mean, over the relevant photos, of the precision at their ranks.

    `relevant` (bool, best first) is one ranking. `total` is how many relevant photos exist, if the
    ranking may lack some; missing ones count 0. With `depth`, the precisions at ranks up
    to `depth` are summed and divided by min(total, depth): the convention of Google Landmarks v2
    (Weyand et al. 2020, arXiv:2004.01804).

    Raises InvalidInputError if nothing is relevant.
    """
    total = int(np.count_nonzero(relevant)) if total is None else total
    if total < 1:
        raise InvalidInputError("no photo is relevant, so there is no average precision")
    ranks = np.flatnonzero(relevant[:depth]) + 1
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return float(precisions.sum() / (total if depth is None else min(total, depth)))


def bootstrap_interval(
    values: npt.ArrayLike, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of the mean of `values` (N,).

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13. With one seed,
    values of the same length are resampled alike, so intervals of two models use the same draws.

    Raises InvalidInputError if there are no values, or some are not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise InvalidInputError("an interval needs a row of finite values")
    random = np.random.default_rng(seed)
    at_once = max(1, _BLOCK_SCORES // len(array))
    means = [
        array[random.integers(0, len(array), (min(at_once, resamples - done), len(array)))].mean(1)
        for done in range(0, resamples, at_once)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def estimate(values: npt.ArrayLike, seed: int = 0) -> Estimate:
    """Return the mean of `values` (N,) and its interval; raises as `bootstrap_interval`."""
    array = np.asarray(values, dtype=np.float64)
    low, high = bootstrap_interval(array, seed)
    return Estimate(float(array.mean()), low, high)


def rank(gallery: FloatMatrix, queries: FloatMatrix) -> Iterator[Indices]:
    """Yield for each query the gallery's indices, int64 (G,), most similar first.

    `gallery` (G, dimension) and `queries` (Q, dimension) are float32 unit rows; similarity is
    their dot product. Queries go in blocks, so memory stays bounded.
    """
    if gallery.ndim != 2 or queries.ndim != 2 or gallery.shape[1:] != queries.shape[1:]:
        raise InvalidInputError(
            f"vectors of shapes {gallery.shape} and {queries.shape} cannot be compared"
        )
    # Summed in float64 and only then rounded: whatever the order of the sums, the same photo twice
    # has the same score, and ties keep the gallery's order.
    columns = gallery.astype(np.float64).T
    at_once = max(1, _BLOCK_SCORES // max(1, len(gallery)))
    for first in range(0, len(queries), at_once):
        scores = (queries[first : first + at_once].astype(np.float64) @ columns).astype(np.float32)
        yield from np.argsort(-scores, axis=1, kind="stable").astype(np.int64, copy=False)


def evaluate(
    gallery: FloatMatrix,
    gallery_landmarks: Sequence[str],
    queries: FloatMatrix,
    query_landmarks: Sequence[str],
    *,
    left_out: Sequence[Collection[int]] = (),
    seed: int = 0,
) -> RetrievalResult:
    """Return the metrics of queries ranked by `rank`; otherwise as `evaluate_rankings`."""
    if (len(gallery), len(queries)) != (len(gallery_landmarks), len(query_landmarks)):
        raise InvalidInputError("every vector needs one landmark, and every landmark one vector")
    rankings = rank(gallery, queries)
    return evaluate_rankings(
        rankings, gallery_landmarks, query_landmarks, left_out=left_out, seed=seed
    )


def evaluate_rankings(
    rankings: Iterable[Sequence[int] | Indices],
    gallery_landmarks: Sequence[str],
    query_landmarks: Sequence[str],
    *,
    left_out: Sequence[Collection[int]] = (),
    seed: int = 0,
) -> RetrievalResult:
    """Return the metrics of rankings: for each query, gallery indices, best first, each once.

    A ranking may lack photos; relevant ones that it lacks count as never found. `left_out` has
    the gallery photos that each query is not compared with, such as itself.

    Raises InvalidInputError if no query has a relevant photo in the gallery.
    """
    names, codes = np.unique(
        np.asarray([*gallery_landmarks, *query_landmarks], dtype=np.str_), return_inverse=True
    )
    gallery_codes, query_codes = np.split(codes.reshape(-1), [len(gallery_landmarks)])
    rows: list[_Row] = []
    for place, (ranking, code) in enumerate(zip(rankings, query_codes, strict=True)):
        order = np.asarray(ranking, dtype=np.int64)
        is_right = gallery_codes == code
        if left_out and left_out[place]:
            without = np.fromiter(left_out[place], dtype=np.int64)
            order = order[~np.isin(order, without)]
            is_right[without] = False
        if total := int(np.count_nonzero(is_right)):
            rows.append(_row(place, order, is_right[order], total))
    if not rows:
        raise InvalidInputError("no query's landmark has a photo in the gallery to be found")
    return _result(rows, names, gallery_codes, query_codes, seed)


@dataclass(frozen=True, eq=False)
class _Row:
    """One scored query."""

    place: int
    average_precision: float
    average_precision_at_100: float
    first_right: int
    nearest: Indices


def _row(place: int, order: Indices, relevant: Flags, total: int) -> _Row:
    return _Row(
        place,
        average_precision(relevant, total=total),
        average_precision(relevant, DEPTH, total),
        int(relevant.argmax()) + 1 if relevant.any() else 0,
        order[:NEAREST].copy(),  # a view would keep the whole ranking
    )


def _result(
    rows: Sequence[_Row],
    names: npt.NDArray[np.str_],
    gallery_codes: npt.NDArray[np.intp],
    query_codes: npt.NDArray[np.intp],
    seed: int,
) -> RetrievalResult:
    scored = np.array([row.place for row in rows], dtype=np.int64)
    precisions = np.array([row.average_precision for row in rows])
    first_right = np.array([row.first_right for row in rows], dtype=np.int64)
    nearest = np.full((len(rows), min(NEAREST, len(gallery_codes))), -1, dtype=np.int64)
    for line, row in zip(nearest, rows, strict=True):
        line[: len(row.nearest)] = row.nearest
    first_is_right = first_right == 1
    codes = query_codes[scored]
    landmarks = {
        str(names[code]): LandmarkFigures(
            int(np.count_nonzero(mine := codes == code)),
            float(precisions[mine].mean()),
            float(first_is_right[mine].mean()),
        )
        for code in np.unique(codes)
    }
    wrong = Counter(
        (str(names[code]), str(names[gallery_codes[first]]))
        for code, first in zip(codes, nearest[:, 0], strict=True)
        if first >= 0 and gallery_codes[first] != code
    )
    return RetrievalResult(
        mean_average_precision=estimate(precisions, seed),
        mean_average_precision_at_100=estimate(
            [row.average_precision_at_100 for row in rows], seed
        ),
        recall_at_1=estimate(first_is_right, seed),
        recall_at_5=estimate((first_right >= 1) & (first_right <= 5), seed),
        gallery=len(gallery_codes),
        left_out=len(query_codes) - len(rows),
        landmarks=landmarks,
        confusions=dict(sorted(wrong.items(), key=lambda item: (-item[1], item[0]))),
        scored=scored,
        average_precisions=precisions,
        first_right=first_right,
        nearest=nearest,
    )
