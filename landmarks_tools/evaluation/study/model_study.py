"""The study of one encoder: its map, its clusters, and what keeps photos out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from landmarks.retrieval.clusters import NOBODY, Clusters, Flags, clusters_on_map, kappa, low_purity
from landmarks.retrieval.metrics import Estimate, RetrievalResult, estimate
from landmarks.retrieval.projection import (
    NEIGHBOURS,
    EmbeddingMap,
    FloatMatrix,
    Floats,
    Labels,
    nearest,
    purity,
    tsne_map,
)
from landmarks_tools.evaluation.study import hypothesis
from landmarks_tools.evaluation.study.encoder_facts import EncoderFacts

_MOST_TO_REDRAW = 2_000  # photos; the second map of more would double a wait of minutes


@dataclass(frozen=True)
class FactorResult:
    """One factor on one map: its tests by the primary definition and the check, and quarters."""

    primary: hypothesis.FactorTest
    check: hypothesis.FactorTest
    bins: tuple[hypothesis.Quarter, ...]


@dataclass(frozen=True, eq=False)
class ModelStudy:
    """Results of the study for one encoder. Arrays of N are in the order of the study's photos.

    `purity` and `map_purity` (N,) are of the nearest neighbours in the embedding and on the map.
    `agreement` is kappa of the two definitions of being in no cluster; `redrawn` is kappa of the
    primary one on this map and on a map from a random start, None if that was left out. `mixed`
    counts how often a photo of one landmark is among the nearest of another, in both directions.
    `inside` and `outside` are R@1 of the queries in a cluster and in none.
    """

    facts: EncoderFacts
    result: RetrievalResult
    drawn: EmbeddingMap
    clusters: Clusters
    purity: Floats
    map_purity: Floats
    low_purity: Flags
    agreement: float
    redrawn: float | None
    mixed: Mapping[tuple[str, str], int]
    inside: Estimate | None
    outside: Estimate | None
    outside_queries: int
    tests: Mapping[str, FactorResult]

    @property
    def mean_purity(self) -> float:
        """The mean of `purity` over the photos that have one."""
        return _mean(self.purity)

    @property
    def mean_map_purity(self) -> float:
        """The mean of `map_purity` over the photos that have one."""
        return _mean(self.map_purity)

    def strays(self, labels: Labels) -> int:
        """Return how many photos, with these labels (N,), are in another landmark's cluster."""
        owners = self.clusters.owner_of
        return int(((owners != NOBODY) & (owners != labels)).sum())


def study_model(
    facts: EncoderFacts,
    vectors: FloatMatrix,
    labels: Labels,
    landmarks: Sequence[str],
    signed_factors: Mapping[str, tuple[Floats, int]],
    result: RetrievalResult,
    query_rows: Labels,
    *,
    seed: int,
) -> ModelStudy:
    """Study unit rows (N, D) of photos with labels (N,).

    `signed_factors` are values (N,) by name, and 1 or -1 for whether the guess expects photos in no
    cluster to have high or low ones. `query_rows` (Q,) has the photo of each scored query of
    `result`. p-values are not corrected yet.
    """
    drawn = tsne_map(vectors, seed=seed)
    clusters = clusters_on_map(drawn.points, labels)
    neighbours = nearest(vectors, NEIGHBOURS, cosine=True)
    purities = purity(neighbours, labels)
    impure, alone = low_purity(purities), np.isnan(purities)
    redrawn = None
    if len(labels) <= _MOST_TO_REDRAW:
        again = tsne_map(vectors, seed=seed, random_start=True)
        redrawn = kappa(clusters.outside, clusters_on_map(again.points, labels).outside)
    first_is_right = result.first_right == 1
    query_outside = clusters.outside[query_rows]
    return ModelStudy(
        facts=facts,
        result=result,
        drawn=drawn,
        clusters=clusters,
        purity=purities,
        map_purity=purity(nearest(drawn.points, NEIGHBOURS, cosine=False), labels),
        low_purity=impure,
        agreement=kappa(clusters.outside[~alone], impure[~alone]),
        redrawn=redrawn,
        mixed=_mixed(neighbours, labels, landmarks),
        inside=_share(first_is_right[~query_outside], seed),
        outside=_share(first_is_right[query_outside], seed),
        outside_queries=int(query_outside.sum()),
        tests={
            name: FactorResult(
                hypothesis.assess(sign * values, clusters.outside, labels, seed=seed),
                hypothesis.assess(
                    np.where(alone, np.nan, sign * values), impure, labels, seed=seed
                ),
                tuple(hypothesis.quartiles(values, clusters.outside)),
            )
            for name, (values, sign) in signed_factors.items()
        },
    )


def corrected(models: Mapping[str, ModelStudy]) -> dict[str, ModelStudy]:
    """Return the same with p-values corrected for all tests of all models and factors.

    The tests of the primary definition are one family, those of the check another.
    """
    keys = [(model, factor) for model, study in models.items() for factor in study.tests]
    tests = [models[model].tests[factor] for model, factor in keys]
    primaries = hypothesis.holm([test.primary for test in tests])
    checks = hypothesis.holm([test.check for test in tests])
    results: dict[str, dict[str, FactorResult]] = {model: {} for model in models}
    for (model, factor), test, primary, check in zip(keys, tests, primaries, checks, strict=True):
        results[model][factor] = replace(test, primary=primary, check=check)
    return {model: replace(study, tests=results[model]) for model, study in models.items()}


def _mixed(
    neighbours: Labels, labels: Labels, landmarks: Sequence[str]
) -> dict[tuple[str, str], int]:
    """Return the pairs of landmarks among each other's nearest photos, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for own, others in zip(labels.tolist(), labels[neighbours].tolist(), strict=True):
        counts.update(
            (landmarks[min(own, other)], landmarks[max(own, other)])
            for other in others
            if other != own
        )
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _share(flags: Flags, seed: int) -> Estimate | None:
    return estimate(flags, seed) if len(flags) else None


def _mean(purities: Floats) -> float:
    known = purities[np.isfinite(purities)]
    return float(known.mean()) if len(known) else float("nan")
