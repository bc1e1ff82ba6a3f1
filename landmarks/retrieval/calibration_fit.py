"""Fits a gallery's calibration to queries whose landmark is known, or known not to be in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from landmarks.errors import InvalidInputError
from landmarks.retrieval.calibration import Calibration, GroupCalibration
from landmarks.retrieval.fusion import DEPTHS, ModelHit
from landmarks.retrieval.logistic import fit_balanced
from landmarks.retrieval.verdict import UNKNOWNS_ANSWERED, Neighbour, Vote, vote

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

# With more models, only each alone and all together are calibrated: sets double with each model.
_MOST_MODELS_FOR_ALL_SETS = 5
_FEWEST_QUERIES = 40
_FEWEST_LANDMARKS = 2
# Hits of each model that slopes are fitted to. The first alone would say too little about how well
# a model separates landmarks: most of them are right with any model, or wrong with all.
READ_DEPTH = 100
# Weak, so that perfectly separable data still have finite slopes.
_REGULARISATION = 100.0


@dataclass(frozen=True)
class CalibrationQuery:
    """The hits of a photo: each model's, best first, and the landmarks of all hits.

    `landmark` is the photo's own; None if the gallery does not have it, or is treated so. Rankings
    are READ_DEPTH deep, to fit the slopes; a search votes with the first of them.
    """

    landmark: str | None
    found: Mapping[str, Sequence[ModelHit]]
    landmarks: Mapping[str, str]

    @cached_property
    def voters(self) -> dict[str, list[ModelHit]]:
        """The part of the rankings that a search for ten hits would read."""
        return {
            model: [hit for hit in hits if hit.place <= DEPTHS[0]]
            for model, hits in self.found.items()
        }


def calibrate(
    queries: Sequence[CalibrationQuery],
    digests: Mapping[str, str],
    unknowns_answered: float = UNKNOWNS_ANSWERED,
) -> Calibration:
    """Return the calibration of the models of `digests`, each alone and all sets of them.

    The threshold of each is the confidence that a share of `unknowns_answered` of the queries
    without a landmark still reach. Raises InvalidInputError if there are too few queries.
    """
    known = [query for query in queries if query.landmark is not None]
    unknown = [query for query in queries if query.landmark is None]
    shown = {query.landmark for query in known}
    if min(len(known), len(unknown)) < _FEWEST_QUERIES or len(shown) < _FEWEST_LANDMARKS:
        raise InvalidInputError(
            f"{len(known)} photos of {len(shown)} landmarks, and {len(unknown)} of landmarks that"
            f" are not there, are too few to calibrate with: at least {_FEWEST_QUERIES} of each are"
            f" needed, of at least {_FEWEST_LANDMARKS} landmarks"
        )
    groups = tuple(_group(models, known, unknown, unknowns_answered) for models in _sets(digests))
    return Calibration(dict(digests), groups, (len(known), len(unknown)), unknowns_answered)


def _sets(digests: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    models = sorted(digests)
    few = len(models) <= _MOST_MODELS_FOR_ALL_SETS
    sizes = range(1, len(models) + 1) if few else dict.fromkeys((1, len(models)))
    for size in sizes:
        yield from combinations(models, size)


def _group(
    models: tuple[str, ...],
    known: Sequence[CalibrationQuery],
    unknown: Sequence[CalibrationQuery],
    unknowns_answered: float,
) -> GroupCalibration:
    slopes, intercept = _scale(models, known)
    scale = GroupCalibration(models, slopes, intercept, (0.0, 0.0, 0.0, 0.0), 0.0)
    measures, right = [], []
    for query in (*known, *unknown):
        if (found := _vote(scale, query)) is not None:
            measures.append((found.margin, found.share, found.best))
            right.append(found.landmark == query.landmark)
    features, flags = np.array(measures), np.array(right)
    if flags.all() or not flags.any():
        raise InvalidInputError(
            f"the votes of {', '.join(models)} are all {'right' if flags.any() else 'wrong'}, so"
            " that right and wrong ones cannot be separated"
        )
    weights, constant = _logistic(features, flags)
    group = GroupCalibration(models, slopes, intercept, (*map(float, weights), constant), 0.0)  # type: ignore[arg-type]
    reached = [
        0.0 if (found := _vote(group, query)) is None else group.confidence(found)
        for query in unknown
    ]
    threshold = float(np.quantile(reached, 1 - unknowns_answered))
    return GroupCalibration(models, slopes, intercept, group.weights, threshold)


def _vote(group: GroupCalibration, query: CalibrationQuery) -> Vote | None:
    hits = group.fused(query.voters)
    return vote([Neighbour(hit.id, query.landmarks[hit.id], hit.score) for hit in hits])


def _scale(
    models: tuple[str, ...], known: Sequence[CalibrationQuery]
) -> tuple[tuple[float, ...], float]:
    """Return the slope of each model and the intercept; a model that adds nothing has slope 0."""
    pairs = [_pairs(models, query) for query in known]
    similarities = np.concatenate([rows for rows, _ in pairs])
    same = np.concatenate([flags for _, flags in pairs])
    if same.all() or not same.any():
        raise InvalidInputError(
            "no landmark has a second photo, so no hit can be right"
            if not same.any()
            else "all hits show the query's landmark, so no hit can be wrong"
        )
    slopes = np.zeros(len(models))
    active = np.arange(len(models))
    while True:
        found, intercept = _logistic(similarities[:, active], same)
        if (found > 0).all() or len(active) == 1:
            # Higher similarity is never less probable.
            slopes[active] = np.maximum(found, 1e-6)
            return tuple(map(float, slopes)), intercept
        active = active[found > 0] if (found > 0).any() else active[[int(found.argmax())]]


def _pairs(models: tuple[str, ...], query: CalibrationQuery) -> tuple[Floats, Flags]:
    """Return the similarities (N, models) of a query's first hits, and which show its landmark."""
    by_model = [{hit.id: hit.score for hit in query.found[model][:READ_DEPTH]} for model in models]
    ids = sorted(set().union(*by_model))
    rows = np.array(
        # A hit that a model did not find is at best as similar as the last one that it found.
        [[found.get(id_, min(found.values(), default=0.0)) for found in by_model] for id_ in ids]
    ).reshape(-1, len(models))
    return rows, np.array([query.landmarks[id_] == query.landmark for id_ in ids], dtype=bool)


def _logistic(features: Floats, flags: Flags) -> tuple[Floats, float]:
    """Return weights and constant of a logistic regression in which both outcomes count alike."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-9
    slopes, constant = fit_balanced((features - mean) / deviation, flags, _REGULARISATION)
    weights = slopes / deviation
    return weights, float(constant - weights @ mean)
