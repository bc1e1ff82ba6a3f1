"""How reliable verdicts are on photos that were not used to calibrate them.

The gallery is calibrated as in the running system (`indexer_worker.calibration`): each photo of a
sample is searched for without itself, and without all photos of its landmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from landmarks.errors import InvalidInputError
from landmarks.retrieval.calibration import Calibration, GroupCalibration
from landmarks.retrieval.calibration_fit import (
    READ_DEPTH,
    CalibrationQuery,
    calibrate,
)
from landmarks.retrieval.fusion import ModelHit
from landmarks.retrieval.metrics import Estimate, FloatMatrix, estimate, evaluate
from landmarks.retrieval.verdict import UNKNOWNS_ANSWERED, VerdictKind

SAMPLE = 1000
# Photos with at least this cosine are the same one.
_SAME = 1 - 1e-6
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PhotoVectors:
    """Embeddings of photos: unit rows (N, dimension) by model, and the photos' landmarks."""

    rows: Mapping[str, FloatMatrix]
    landmarks: Sequence[str]

    def of(self, chosen: Sequence[int]) -> PhotoVectors:
        """Return some of the photos."""
        rows = {model: found[list(chosen)] for model, found in self.rows.items()}
        return PhotoVectors(rows, [self.landmarks[place] for place in chosen])


@dataclass(frozen=True)
class VerdictFigures:
    """Figures of the verdicts of some models together.

    `answered`: of photos whose landmark is in the gallery, the share that is given a landmark;
    `accuracy`: of these, the share that is given the right one, None if there are none; `forced`:
    the share that would be right if all were answered. `unknown_answered`: of photos of landmarks
    that are not in the gallery, the share that is given one. `ranking`: the mAP of the fused
    ranking, for the photos whose landmark is in the gallery.
    """

    models: tuple[str, ...]
    answered: Estimate
    accuracy: Estimate | None
    forced: Estimate
    unknown_answered: Estimate
    ranking: Estimate


def verdict_figures(
    gallery: PhotoVectors,
    known: PhotoVectors,
    unknown: PhotoVectors,
    held_back: PhotoVectors | None = None,
    unknowns_answered: float = UNKNOWNS_ANSWERED,
) -> tuple[Calibration, list[VerdictFigures]]:
    """Calibrate a gallery and measure it; each model alone, then all together.

    `held_back` are photos of landmarks that are not in the gallery; if given, they stand for
    unknown photos in place of the gallery's own without their landmarks.

    Raises InvalidInputError if `known` has landmarks that the gallery lacks, or `unknown` some that
    it has, and as `calibrate`.
    """
    shown = set(gallery.landmarks)
    if missing := sorted(set(known.landmarks) - shown):
        raise InvalidInputError(f"the gallery has no photo of {missing[0]!r}")
    if there := sorted(shown.intersection([*unknown.landmarks, *_landmarks(held_back)])):
        raise InvalidInputError(f"{there[0]!r} is to be unknown, but the gallery has photos of it")
    queries = _own_queries(gallery, of_unknown=held_back is None)
    if held_back is not None:
        queries += _queries(gallery, _sampled(held_back), known=False)
    calibration = calibrate(queries, dict.fromkeys(gallery.rows, ""), unknowns_answered)
    queries_of = _queries(gallery, known, known=True), _queries(gallery, unknown, known=False)
    models = tuple(sorted(gallery.rows))
    sets = [(model,) for model in models] + ([models] if len(models) > 1 else [])
    groups = {group.models: group for group in calibration.groups}
    return calibration, [_figures(groups[some], gallery, known, *queries_of) for some in sets]


def fused_rows(group: GroupCalibration, vectors: PhotoVectors) -> FloatMatrix:
    """Return unit rows whose cosines order as the group's fused scores do.

    A weighted sum of cosines is the dot product of the rows side by side, each times the root of
    its model's slope.
    """
    scales = np.sqrt(np.array(group.slopes) / sum(group.slopes))
    parts = [vectors.rows[model] * scale for model, scale in zip(group.models, scales, strict=True)]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _figures(
    group: GroupCalibration,
    gallery: PhotoVectors,
    known: PhotoVectors,
    known_queries: Sequence[CalibrationQuery],
    unknown_queries: Sequence[CalibrationQuery],
) -> VerdictFigures:
    verdicts = [group.verdict(query.voters, query.landmarks) for query in known_queries]
    named = np.array([verdict.outcome is VerdictKind.KNOWN for verdict in verdicts])
    right = np.array(
        [
            verdict.vote is not None and verdict.vote.landmark == query.landmark
            for verdict, query in zip(verdicts, known_queries, strict=True)
        ]
    )
    unknown_named = [
        group.verdict(query.voters, query.landmarks).outcome is VerdictKind.KNOWN
        for query in unknown_queries
    ]
    rows = (fused_rows(group, gallery), fused_rows(group, known))
    ranking = evaluate(rows[0], gallery.landmarks, rows[1], known.landmarks)
    return VerdictFigures(
        models=group.models,
        answered=estimate(named),
        accuracy=estimate(right[named]) if named.any() else None,
        forced=estimate(right),
        unknown_answered=estimate(np.array(unknown_named, dtype=float)),
        ranking=ranking.mean_average_precision,
    )


def _own_queries(gallery: PhotoVectors, *, of_unknown: bool) -> list[CalibrationQuery]:
    chosen = np.random.default_rng(0).permutation(len(gallery.landmarks))[:SAMPLE]
    names = np.array(gallery.landmarks)
    some = gallery.of(chosen.tolist())
    same = np.ones((len(chosen), len(names)), dtype=bool)
    for model, rows in gallery.rows.items():
        same &= some.rows[model] @ rows.T > _SAME
    own = names[chosen][:, None] == names[None, :]
    with_others = [int(place) for place in np.flatnonzero((own & ~same).any(axis=1))]
    queries = _queries(gallery, some.of(with_others), known=True, without=same[with_others])
    if of_unknown:
        queries += _queries(gallery, some, known=False, without=own)
    return queries


def _sampled(vectors: PhotoVectors) -> PhotoVectors:
    chosen = np.random.default_rng(0).permutation(len(vectors.landmarks))[:SAMPLE]
    return vectors.of(chosen.tolist())


def _queries(
    gallery: PhotoVectors, asked: PhotoVectors, *, known: bool, without: _Flags | None = None
) -> list[CalibrationQuery]:
    """Return the hits of photos in the gallery, excluding those each is `without` (Q, G)."""
    shown = {str(place): name for place, name in enumerate(gallery.landmarks)}
    found: list[dict[str, list[ModelHit]]] = [{} for _ in asked.landmarks]
    for model, rows in gallery.rows.items():
        for place, row in enumerate(asked.rows[model]):
            scores = rows @ row
            if without is not None:
                scores = np.where(without[place], -np.inf, scores)
            first = np.argsort(-scores, kind="stable")[:READ_DEPTH]
            found[place][model] = [
                ModelHit(str(one), float(scores[one]), rank)
                for rank, one in enumerate(first, start=1)
                if np.isfinite(scores[one])
            ]
    return [
        CalibrationQuery(landmark if known else None, hits, shown)
        for landmark, hits in zip(asked.landmarks, found, strict=True)
    ]


def _landmarks(vectors: PhotoVectors | None) -> Sequence[str]:
    return vectors.landmarks if vectors is not None else ()
