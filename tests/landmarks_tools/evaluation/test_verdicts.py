"""Measuring verdicts on photos that nothing was fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from landmarks.errors import InvalidInputError
from landmarks_tools.evaluation.verdicts import PhotoVectors, fused_rows, verdict_figures

CENTRES = np.random.default_rng(0).normal(size=(60, 16))
NOISE = {"good": 0.5, "poor": 1.3}


def vectors(places: range, each: int, seed: int) -> PhotoVectors:
    names = np.repeat(np.array(places), each)
    rows = {}
    for number, (model, noise) in enumerate(NOISE.items()):
        found = CENTRES[names] + noise * np.random.default_rng([seed, number]).normal(
            size=(len(names), 16)
        )
        rows[model] = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return PhotoVectors(rows, [f"landmark {name}" for name in names])


GALLERY, KNOWN = vectors(range(20), 8, seed=1), vectors(range(20), 10, seed=2)
UNKNOWN, HELD_BACK = vectors(range(20, 40), 10, seed=3), vectors(range(40, 60), 10, seed=4)


@pytest.mark.parametrize("held_back", [None, HELD_BACK])
def test_each_model_and_all_together_are_measured_on_other_photos(held_back) -> None:
    calibration, figures = verdict_figures(GALLERY, KNOWN, UNKNOWN, held_back)

    assert calibration.queries == (160, 160 if held_back is None else 200)
    by_models = {each.models: each for each in figures}
    assert set(by_models) == {("good",), ("poor",), ("good", "poor")}
    good, poor, both = (by_models[m] for m in (("good",), ("poor",), ("good", "poor")))
    assert good.answered.value > 0.8 > poor.answered.value
    assert good.accuracy.value > 0.98
    assert good.forced.value > poor.forced.value
    for each in figures:
        assert each.unknown_answered.value < 0.15
    assert both.ranking.value >= good.ranking.value > poor.ranking.value


def test_fused_rows_order_as_the_weighted_similarities_do() -> None:
    calibration, _ = verdict_figures(GALLERY, KNOWN, UNKNOWN)
    group = calibration.group({"good": "", "poor": ""})
    slopes = dict(zip(group.models, group.slopes, strict=True))

    fused = fused_rows(group, KNOWN) @ fused_rows(group, GALLERY).T

    weighted = sum(slopes[m] * KNOWN.rows[m] @ GALLERY.rows[m].T for m in slopes)
    np.testing.assert_allclose(fused * sum(slopes.values()), weighted, atol=1e-4)


def test_landmarks_on_the_wrong_side_are_named() -> None:
    with pytest.raises(InvalidInputError, match="no photo of 'landmark 20'"):
        verdict_figures(GALLERY, UNKNOWN, UNKNOWN)
    with pytest.raises(InvalidInputError, match="'landmark 0' is to be unknown"):
        verdict_figures(GALLERY, KNOWN, KNOWN)
