"""Fitting calibrations to queries whose right answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from landmarks.errors import InvalidInputError
from landmarks.retrieval.calibration import Calibration
from landmarks.retrieval.calibration_fit import CalibrationQuery, calibrate
from landmarks.retrieval.fusion import ModelHit
from landmarks.retrieval.metrics import evaluate
from landmarks.retrieval.verdict import VerdictKind

LANDMARKS = 12
EACH = 8
DIGESTS = {"good": "aa", "poor": "bb", "noise": "cc"}
# How much noise there is beside what tells landmarks apart.
NOISE = {"good": 0.55, "poor": 1.1, "noise": 50.0}


def rows(names: np.ndarray, model: str, seed: int) -> np.ndarray:
    """Vectors of photos of landmarks; those above LANDMARKS are none of the gallery's."""
    centres = np.random.default_rng(0).normal(size=(2 * LANDMARKS, 24))
    seeds = [seed, list(DIGESTS).index(model)]
    found = centres[names] + NOISE[model] * np.random.default_rng(seeds).normal(
        size=(len(names), 24)
    )
    return found / np.linalg.norm(found, axis=1, keepdims=True)


GALLERY = np.repeat(np.arange(LANDMARKS), EACH)


def queries(known: int, unknown: int, seed: int, models: Sequence[str] = tuple(DIGESTS)):
    rng = np.random.default_rng(seed)
    names = np.concatenate(
        [rng.integers(0, LANDMARKS, known), rng.integers(LANDMARKS, 2 * LANDMARKS, unknown)]
    )
    similarities = {model: rows(names, model, seed) @ rows(GALLERY, model, 1).T for model in models}
    shown = {str(n): f"landmark {name}" for n, name in enumerate(GALLERY)}
    return [
        CalibrationQuery(
            f"landmark {name}" if name < LANDMARKS else None,
            {
                model: [
                    ModelHit(str(n), float(scores[place][n]), rank)
                    for rank, n in enumerate(np.argsort(-scores[place])[:60], start=1)
                ]
                for model, scores in similarities.items()
            },
            shown,
        )
        for place, name in enumerate(names)
    ]


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(queries(300, 300, seed=7), DIGESTS)


def verdicts(calibration: Calibration, some: Sequence[CalibrationQuery], *models: str):
    group = calibration.group({model: DIGESTS[model] for model in models})
    return [group.verdict({m: q.voters[m] for m in models}, q.landmarks) for q in some]


def test_every_set_of_models_is_calibrated(calibration: Calibration) -> None:
    assert len(calibration.groups) == 7
    assert calibration.queries == (300, 300)


@pytest.mark.parametrize("models", [("good",), ("good", "poor"), tuple(DIGESTS)])
def test_about_as_many_unknowns_are_named_as_were_allowed(calibration, models) -> None:
    others = verdicts(calibration, queries(0, 1000, seed=8), *models)
    named = np.mean([one.outcome is VerdictKind.KNOWN for one in others])
    assert named == pytest.approx(0.05, abs=0.04)


def test_most_known_landmarks_are_named_and_correctly(calibration: Calibration) -> None:
    some = queries(500, 0, seed=9)
    outcomes = verdicts(calibration, some, "good", "poor")
    named = [
        one.vote.landmark == query.landmark
        for one, query in zip(outcomes, some, strict=True)
        if one.outcome is VerdictKind.KNOWN
    ]
    assert len(named) > 0.8 * len(some)
    assert np.mean(named) > 0.98


def test_a_confidence_is_how_often_it_is_right(calibration: Calibration) -> None:
    some = queries(600, 600, seed=10)
    outcomes = verdicts(calibration, some, "poor")
    confidences = np.array([one.confidence for one in outcomes])
    right = np.array(
        [one.vote.landmark == query.landmark for one, query in zip(outcomes, some, strict=True)]
    )
    for low, high in ((0.0, 0.35), (0.35, 0.65), (0.65, 1.01)):
        these = (confidences >= low) & (confidences < high)
        assert these.sum() > 30
        assert right[these].mean() == pytest.approx(confidences[these].mean(), abs=0.13)


def test_an_uninformative_model_has_no_weight(calibration: Calibration) -> None:
    group = calibration.group(DIGESTS)
    slopes = dict(zip(group.models, group.slopes, strict=True))
    assert slopes["good"] > slopes["poor"] > 0.5
    assert slopes["noise"] < 0.1 * slopes["poor"]


def test_fused_scores_rank_better_than_the_best_model_alone(calibration: Calibration) -> None:
    names = np.random.default_rng(11).integers(0, LANDMARKS, 300)
    group = calibration.group({"good": "aa", "poor": "bb"})
    slopes = dict(zip(group.models, group.slopes, strict=True))
    found = {model: (rows(GALLERY, model, 1), rows(names, model, 11)) for model in slopes}
    # A sum of similarities is the similarity of vectors put side by side.
    fused = [
        np.concatenate([slopes[m] ** 0.5 * found[m][side] for m in slopes], axis=1)
        for side in (0, 1)
    ]
    scores = {
        name: evaluate(
            gallery.astype(np.float32), GALLERY.tolist(), asked.astype(np.float32), names.tolist()
        ).mean_average_precision.value
        for name, (gallery, asked) in {**found, "fused": fused}.items()
    }
    assert scores["fused"] > scores["good"] > scores["poor"]


def test_a_stored_calibration_is_read_back(calibration: Calibration) -> None:
    assert Calibration.from_json(calibration.to_json()) == calibration
    assert Calibration.from_json('{"format": 0}') is None


def test_models_that_were_replaced_are_left_out(calibration: Calibration) -> None:
    assert calibration.group({**DIGESTS, "poor": "zz"}).models == ("good", "noise")
    assert calibration.group({"poor": "zz"}) is None
    assert calibration.group({"good": "aa", "new": "dd"}).models == ("good",)


def test_of_many_models_each_and_all_are_calibrated() -> None:
    some = queries(60, 60, seed=3, models=("good",))
    digests = {f"m{n}": "aa" for n in range(6)}
    some = [replace(query, found=dict.fromkeys(digests, query.found["good"])) for query in some]
    assert sorted(len(one.models) for one in calibrate(some, digests).groups) == [1] * 6 + [6]


def test_too_few_photos_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"30 photos of \d+ landmarks, and 100 of"):
        calibrate(queries(30, 100, seed=1), DIGESTS)
    one = [replace(query, landmark="landmark 0") for query in queries(100, 0, seed=1)]
    with pytest.raises(InvalidInputError, match="100 photos of 1 landmarks"):
        calibrate([*one, *queries(0, 100, seed=1)], DIGESTS)
