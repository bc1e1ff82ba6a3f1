"""Logistic regression, against scikit-learn's."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from landmarks.retrieval.logistic import fit_balanced


def drawn(seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    features = random.normal(size=(400, 3))
    margins = features @ [2.0, -1.0, 0.0] + random.normal(size=400) + 1.5
    match kind:
        case "separable":
            return features, features[:, 0] > 0.3
        case "rare":
            return features, margins > np.quantile(margins, 0.98)
        case "the same number twice":
            return features[:, [0, 1, 1]], margins > 0
        case "a number that never changes":
            return np.column_stack([features[:, :2], np.zeros(400)]), margins > 0
        case _:
            return features, margins > 0


@pytest.mark.parametrize(
    "kind",
    ["usual", "rare", "separable", "the same number twice", "a number that never changes"],
)
def test_weights_and_constant_are_those_of_scikit_learn(kind: str) -> None:
    for seed in range(3):
        features, flags = drawn(seed, kind)
        weights, constant = fit_balanced(features, flags, 100.0)
        model = LogisticRegression(C=100.0, class_weight="balanced", max_iter=10_000, tol=1e-9)
        model.fit(features, flags)
        assert weights == pytest.approx(model.coef_[0], rel=1e-3, abs=1e-3)
        assert constant == pytest.approx(model.intercept_[0], rel=1e-3, abs=1e-3)


def test_numbers_that_tell_right_from_wrong_at_once_have_finite_weights() -> None:
    weights, constant = fit_balanced(np.array([[-1e6], [1e6]]), np.array([False, True]), 100.0)
    assert np.isfinite([*weights, constant]).all()
    assert weights[0] > 0


def test_calibrating_imports_no_scikit_learn() -> None:
    check = """
import sys
import indexer_worker.calibration, landmarks.retrieval.calibration_fit as fit
import numpy
fit._logistic(numpy.array([[0.0], [1.0], [2.0]]), numpy.array([False, True, True]))
assert not {"sklearn", "scipy"} & {*sys.modules}
"""
    subprocess.run([sys.executable, "-c", check], check=True)
