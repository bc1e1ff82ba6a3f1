import itertools

import numpy as np
import pytest

from landmarks_tools.evaluation.study.factors import look_alike, standardised, unusual_view
from landmarks_tools.evaluation.study.hypothesis import (
    Effect,
    Evidence,
    FactorTest,
    assess,
    holm,
    quartiles,
)


def planted(strength: float, seed: int = 0, landmarks: int = 12, photos: int = 12):
    """Photos whose factor is `strength` deviations higher where they are outside."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(landmarks), photos)
    outside = rng.random(len(labels)) < 0.3
    return rng.normal(size=len(labels)) + strength * outside, outside, labels


def test_a_planted_effect_is_found_and_its_opposite_contradicts():
    factor, outside, labels = planted(1.5)

    found, opposite = assess(factor, outside, labels), assess(-factor, outside, labels)

    assert found.outcome is Evidence.SUPPORTED
    assert found.within.value > 0.75
    assert found.within.low < found.within.value < found.within.high
    assert opposite.outcome is Evidence.CONTRADICTED
    assert opposite.within.value == pytest.approx(1 - found.within.value)


def test_p_values_without_an_effect_are_below_each_level_no_more_often_than_the_level_says():
    p_values = np.array([assess(*planted(0, seed)).p for seed in range(120)])

    for level in (0.05, 0.2, 0.5):
        slack = 3 * np.sqrt(level * (1 - level) / len(p_values))
        assert np.mean(p_values <= level) <= level + slack
    assert 0.4 < p_values.mean() < 0.6


def test_the_p_value_is_that_of_all_permutations_within_landmarks():
    factor = np.array([5.0, 3, 2, 1, 9, 4, 4, 2, 8, 1, 0, 7, 6, 2, 3])
    outside = np.array([1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0], bool)
    labels = np.repeat([0, 1, 2], 5)
    places = [np.flatnonzero(labels == landmark) for landmark in range(3)]

    def centred(chosen: tuple[tuple[int, ...], ...]) -> float:
        wins = pairs = 0.0
        for here, out in zip(places, chosen, strict=True):
            rest = [i for i in here if i not in out]
            wins += sum(
                (factor[a] > factor[b]) + (factor[a] == factor[b]) / 2 for a in out for b in rest
            )
            pairs += len(out) * len(rest)
        return abs(wins - pairs / 2)

    observed = centred(tuple(tuple(here[outside[here]]) for here in places))
    counts = [int(outside[here].sum()) for here in places]
    every = list(
        itertools.product(
            *(itertools.combinations(h, n) for h, n in zip(places, counts, strict=True))
        )
    )
    exact = np.mean([centred(chosen) >= observed for chosen in every])

    assert assess(factor, outside, labels).p == pytest.approx(exact, abs=0.02)


def test_a_difference_between_landmarks_alone_is_no_effect_within_them():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 12)
    outside = rng.random(240) < np.where(labels < 10, 0.8, 0.2)
    factor = (labels < 10) * 5.0 + rng.normal(size=240)

    test = assess(factor, outside, labels)

    assert test.overall.value > 0.7
    assert test.outcome is Evidence.NO_EVIDENCE


def test_too_few_photos_outside_cannot_be_tested_and_none_at_all_have_no_effect():
    factor, _, labels = planted(0)
    few = np.zeros(len(labels), bool)
    few[:4] = True

    assert assess(factor, few, labels).outcome is Evidence.NOT_TESTABLE
    assert np.isnan(assess(factor, np.zeros_like(few), labels).within.value)
    nothing = assess(np.full(len(labels), np.nan), few, labels)
    assert nothing.outcome is Evidence.NOT_TESTABLE


def test_ties_count_half():
    outside = np.tile([True, False], 20)

    test = assess(np.zeros(40), outside, np.repeat(np.arange(4), 10))

    assert test.within.value == test.overall.value == 0.5
    assert test.p == 1


def test_holm_multiplies_the_smallest_p_by_the_number_of_tests_and_never_reorders():
    effect = Effect(0.9, 0.8, 1.0)
    tests = [FactorTest(effect, effect, p, p, 9, 9, 9) for p in (0.02, float("nan"), 0.01, 0.5)]

    corrected = [test.corrected for test in holm(tests)]

    assert corrected[0] == pytest.approx(0.04)
    assert np.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.03)
    assert corrected[3] == pytest.approx(0.5)


def test_the_same_seed_gives_the_same_test():
    assert assess(*planted(0.3), seed=4) == assess(*planted(0.3), seed=4)


def test_quarters_hold_all_photos_once_and_equal_values_stay_together():
    factor = np.array([0.0] * 10 + [0.1, 0.2, 0.3, 0.4, 0.5, np.nan])
    outside = np.array([False] * 12 + [True] * 4)

    bins = quartiles(factor, outside)

    assert [(each.low, each.high, each.photos, each.outside) for each in bins] == [
        (0.0, 0.0, 10, 0),
        (0.1, 0.2, 2, 0),
        (0.3, 0.5, 3, 3),
    ]
    low, high = bins[2].interval
    assert 0.3 < low < high <= 1
    assert quartiles(np.array([np.nan]), np.array([True])) == []


def test_a_view_from_behind_is_unusual_and_one_across_north_is_not():
    azimuths = np.array([179.0, -179.0, 0.0, 30.0])
    labels = np.array([0, 0, 0, 1])

    angles = unusual_view(azimuths, np.zeros(4), labels)

    assert angles[:3] == pytest.approx([2, 2, 179])
    assert np.isnan(angles[3])
    assert unusual_view(np.zeros(2), np.array([0.0, 40.0]), np.zeros(2, int))[0] == pytest.approx(
        40
    )


def test_a_look_alike_is_nearer_to_another_landmark_than_to_its_own():
    vectors = np.array([[1, 0], [0.96, 0.28], [0, 1], [0.28, 0.96], [0.6, 0.8]], np.float32)
    labels = np.array([0, 0, 1, 1, 0])

    margins = look_alike(vectors, labels)

    assert margins[4] == pytest.approx(0.936 - 0.8, abs=1e-3)
    assert margins[0] < 0
    assert np.isnan(look_alike(vectors[:2], np.array([0, 1]))).all()
    assert np.isnan(look_alike(vectors[:2], np.array([0, 0]))).all()


def test_values_that_are_all_the_same_or_missing_can_be_standardised():
    assert standardised(np.array([2.0, 2.0])).tolist() == [0, 0]
    assert np.isnan(standardised(np.array([np.nan]))).all()
    assert standardised(np.array([1.0, 3.0, np.nan]))[:2].tolist() == [-1, 1]
