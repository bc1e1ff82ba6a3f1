"""Logistic regression: the probability of a yes from a few numbers, by Newton's method."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MOST_STEPS = 100
_CLOSE_ENOUGH = 1e-10  # a step whose decrease, over the loss, is less than this is the last one


def fit_balanced(features: Floats, flags: Flags, regularisation: float) -> tuple[Floats, float]:
    """Return weights (D,) and constant for rows (N, D), in which both outcomes count alike.

    As scikit-learn's LogisticRegression with `class_weight="balanced"` and `C=regularisation`:
    the weights are drawn towards 0 the less, the greater it is, and the constant is not. `flags`
    (N,) must have both outcomes.
    """
    rows = np.column_stack([features, np.ones(len(features))])
    wanted = flags.astype(np.float64)
    each = np.where(flags, 0.5 / flags.mean(), 0.5 / (1 - flags.mean()))
    penalty = np.append(np.full(features.shape[1], 1 / regularisation), 0.0)

    def loss(solution: Floats) -> float:
        margins = rows @ solution
        return float(
            each @ (np.logaddexp(0, margins) - wanted * margins) + penalty @ solution**2 / 2
        )

    solution = np.zeros(rows.shape[1])
    reached = loss(solution)
    for _ in range(_MOST_STEPS):
        shares = 0.5 * (1 + np.tanh(rows @ solution / 2))  # the logistic function, never too large
        gradient = rows.T @ (each * (shares - wanted)) + penalty * solution
        curvature = (rows.T * (each * shares * (1 - shares))) @ rows + np.diag(penalty)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size = 1.0
        while (found := loss(solution - size * step)) > reached and size > _CLOSE_ENOUGH:
            size /= 2
        if found > reached:
            break
        solution, decrease, reached = solution - size * step, reached - found, found
        if decrease <= _CLOSE_ENOUGH * (1 + reached):
            break
    return solution[:-1], float(solution[-1])
