"""Chooses the queries that the study shows, side by side for all encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from landmarks.retrieval.projection import Floats, Labels

FIRST = ("Atomium", "Soreq_Cave")  # what the study itself showed
_DISAGREEMENTS = 3
_FAILURES = 3


@dataclass(frozen=True)
class ExampleQuery:
    """A query to show: its place among the scored queries, and why it was chosen."""

    query: int
    why: str


def choose_queries(
    landmarks: Sequence[str],
    average_precisions: Mapping[str, Floats],
    first_right: Mapping[str, Labels],
) -> list[ExampleQuery]:
    """Return the queries to show, each once, no landmark twice for one reason.

    `landmarks` (Q) is what the queries show; `average_precisions` and `first_right`, the rank of
    the first right photo or 0, are (Q,) by model. First come the landmarks of the study; then the
    queries on which the encoders differ most; then failures, most wrong encoders first.
    """
    chosen: dict[int, ExampleQuery] = {}
    for name in FIRST:
        if name in landmarks:
            query = list(landmarks).index(name)
            chosen[query] = ExampleQuery(query, "shown in the study this one repeats")
    scores = np.stack(list(average_precisions.values()))
    wrong = np.stack([ranks != 1 for ranks in first_right.values()]).sum(axis=0)
    spread = np.ptp(scores, axis=0)
    disagreeing = [i for i in np.argsort(-spread, kind="stable").tolist() if spread[i] > 0]
    for query in _one_per_landmark(disagreeing, landmarks, chosen, _DISAGREEMENTS):
        why = f"the encoders disagree: average precision differs by {spread[query]:.2f}"
        chosen[query] = ExampleQuery(query, why)
    failing = [i for i in np.lexsort((scores.mean(axis=0), -wrong)).tolist() if wrong[i]]
    for query in _one_per_landmark(failing, landmarks, chosen, _FAILURES):
        why = "a failure: the first photo is wrong"
        if len(scores) > 1:
            why += f" for {wrong[query]} of {len(scores)} encoders"
        chosen[query] = ExampleQuery(query, why)
    return list(chosen.values())


def _one_per_landmark(
    queries: Sequence[int], landmarks: Sequence[str], chosen: Mapping[int, ExampleQuery], count: int
) -> list[int]:
    picked: dict[str, int] = {}
    for query in queries:
        if len(picked) < count and query not in chosen:
            picked.setdefault(landmarks[query], query)
    return list(picked.values())
