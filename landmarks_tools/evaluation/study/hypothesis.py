"""Tests the study's guess that a factor predicts which photos are in no cluster.

The effect is an area under the ROC curve (the probability of superiority behind Mann and Whitney's
U, 1947): of two photos, one in no cluster and one in a cluster, how often does the factor rank the
former higher; 0.5 is no effect. Photos of one landmark are not independent, so the tested effect
compares photos of the same landmark only, its p-value comes from permuting within landmarks, and
intervals from resampling landmarks. Corrected for the number of tests after Holm (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from landmarks.retrieval.clusters import Flags
from landmarks.retrieval.projection import Floats, Labels

PERMUTATIONS = 9_999
RESAMPLES = 2_000
SIGNIFICANCE = 0.05
_FEWEST_PHOTOS = 5  # in no cluster and in one, among landmarks that have both
_FEWEST_LANDMARKS = 3  # that have both
_DRAWS_AT_ONCE = 1_000


class Evidence(Enum):
    """The result of a test of the guess."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NO_EVIDENCE = "no evidence"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Effect:
    """An area under the curve and its 95 % interval; NaN where there are no pairs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class FactorTest:
    """One factor's test on one map.

    `within` compares photos of the same landmark, and p refers to it; `overall` compares any two
    photos. `pairs_from` is how many landmarks have photos of both kinds; `outside` and `inside`
    count their photos. `p` is two-sided; `p` and `corrected` are NaN if there are too few photos.
    """

    within: Effect
    overall: Effect
    p: float
    corrected: float
    outside: int
    inside: int
    pairs_from: int

    @property
    def outcome(self) -> Evidence:
        """The result by the corrected p-value."""
        if not np.isfinite(self.corrected):
            return Evidence.NOT_TESTABLE
        if self.corrected >= SIGNIFICANCE:
            return Evidence.NO_EVIDENCE
        return Evidence.SUPPORTED if self.within.value > 0.5 else Evidence.CONTRADICTED


def assess(factor: Floats, outside: Flags, labels: Labels, *, seed: int = 0) -> FactorTest:
    """Return how well `factor` (N,) predicts which photos are `outside` (N,); NaN is left out.

    The guess expects photos with higher values outside. `corrected` is p until `holm` corrects it.
    """
    known = np.isfinite(factor)
    factor, outside, labels = factor[known], outside[known], labels[known]
    rng = np.random.default_rng(seed)
    wins, pairs = _win_table(factor, outside, labels)
    own_wins, own_pairs = np.diag(wins).copy(), np.diag(pairs).copy()
    mixed = own_pairs > 0
    draws = _resampled_landmarks(len(wins), rng)
    within = _effect(
        _ratio(own_wins.sum(), own_pairs.sum()), _ratio(draws @ own_wins, draws @ own_pairs)
    )
    overall = _effect(
        _ratio(wins.sum(), pairs.sum()),
        _ratio(
            np.einsum("bi,ij,bj->b", draws, wins, draws, optimize=True),
            np.einsum("bi,ij,bj->b", draws, pairs, draws, optimize=True),
        ),
    )
    _, inverse = np.unique(labels, return_inverse=True)
    comparable = mixed[inverse] if len(inverse) else np.zeros(0, bool)
    photos_outside = int(outside[comparable].sum())
    photos_inside = int(comparable.sum()) - photos_outside
    enough = min(photos_outside, photos_inside) >= _FEWEST_PHOTOS
    p = float("nan")
    if enough and mixed.sum() >= _FEWEST_LANDMARKS:
        p = _permuted_p(factor[comparable], outside[comparable], labels[comparable], rng)
    return FactorTest(within, overall, p, p, photos_outside, photos_inside, int(mixed.sum()))


def holm(tests: Sequence[FactorTest]) -> list[FactorTest]:
    """Return the tests with p-values corrected for the number of tests made."""
    order = sorted(
        (index for index, test in enumerate(tests) if np.isfinite(test.p)),
        key=lambda index: tests[index].p,
    )
    corrected = list(tests)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, tests[index].p * (len(order) - place)))
        corrected[index] = replace(tests[index], corrected=highest)
    return corrected


@dataclass(frozen=True)
class Quarter:
    """A quarter of the photos by a factor, `low` to `high`, and how many are in no cluster."""

    low: float
    high: float
    photos: int
    outside: int

    @property
    def share(self) -> float:
        """Share in no cluster."""
        return self.outside / self.photos

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson 1927)."""
        z, n, p = 1.959964, self.photos, self.share
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
        return max(0.0, centre - half), min(1.0, centre + half)


def quartiles(factor: Floats, outside: Flags) -> list[Quarter]:
    """Return the share outside in each quarter of the photos, by rising factor.

    Equal values stay together, so there may be fewer than four, and of unequal size.
    """
    known = np.isfinite(factor)
    factor, outside = factor[known], outside[known]
    if not len(factor):
        return []
    edges = np.unique(np.quantile(factor, [0.25, 0.5, 0.75], method="inverted_cdf"))
    places = np.searchsorted(edges, factor, side="left")
    return [
        Quarter(
            float(factor[places == place].min()),
            float(factor[places == place].max()),
            int((places == place).sum()),
            int(outside[places == place].sum()),
        )
        for place in np.unique(places)
    ]


def _win_table(factor: Floats, outside: Flags, labels: Labels) -> tuple[Floats, Floats]:
    """Return wins and pairs (L, L): of photos outside of landmark i against inside of j.

    A tie is half a win.
    """
    landmarks = np.unique(labels)
    wins = np.zeros((len(landmarks), len(landmarks)))
    pairs = np.zeros_like(wins)
    inside = [np.sort(factor[(labels == landmark) & ~outside]) for landmark in landmarks]
    for i, landmark in enumerate(landmarks):
        out = factor[(labels == landmark) & outside]
        for j, others in enumerate(inside):
            below = np.searchsorted(others, out, side="left")
            not_above = np.searchsorted(others, out, side="right")
            wins[i, j] = (below + not_above).sum() / 2
            pairs[i, j] = len(out) * len(others)
    return wins, pairs


def _resampled_landmarks(count: int, rng: np.random.Generator) -> Floats:
    """Return how often each landmark is in each resample (RESAMPLES, L)."""
    if not count:
        return np.zeros((RESAMPLES, 0))
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)


def _ratio(wins: Floats | float, pairs: Floats | float) -> Floats:
    some = np.asarray(pairs) > 0
    ratio: Floats = np.where(some, wins, np.nan) / np.where(some, pairs, 1)
    return ratio


def _effect(value: Floats, draws: Floats) -> Effect:
    if not np.isfinite(value):
        return Effect(float("nan"), float("nan"), float("nan"))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Effect(float(value), float(low), float(high))


def _permuted_p(factor: Floats, outside: Flags, labels: Labels, rng: np.random.Generator) -> float:
    """Return the two-sided p-value of the within-landmark effect.

    Which photos of a landmark are outside is permuted within the landmark. The observed labels
    count as one of the permutations, so the p-value is valid at any number of them (Phipson and
    Smyth 2010).
    """
    observed = 0.0
    permuted = np.zeros(PERMUTATIONS)
    for landmark in np.unique(labels):
        here = labels == landmark
        ranks = _midranks(factor[here])
        out = outside[here]
        count = int(out.sum())
        expected = count * ranks.mean()
        observed += ranks[out].sum() - expected
        for start in range(0, PERMUTATIONS, _DRAWS_AT_ONCE):
            stop = min(start + _DRAWS_AT_ONCE, PERMUTATIONS)
            keys = rng.random((stop - start, len(ranks)))
            chosen = np.argpartition(keys, count - 1, axis=1)[:, :count]
            permuted[start:stop] += ranks[chosen].sum(axis=1) - expected
    # Sums of halves are exact, but means are not: compare up to rounding.
    as_extreme = int((np.abs(permuted) >= abs(observed) - 1e-9).sum())
    return (as_extreme + 1) / (PERMUTATIONS + 1)


def _midranks(values: Floats) -> Floats:
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    ranks: Floats = (below + not_above + 1) / 2
    return ranks
