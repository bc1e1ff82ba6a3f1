"""Calibration: how far a gallery's votes can be trusted, how its models' scores compare.

Every set of models that can answer has its own scale: the log-odds that a hit shows the
query's landmark, as a weighted sum of its similarities. On it, a logistic regression says how
probable it is that a vote is right (Platt, "Probabilistic Outputs for Support Vector Machines",
1999). `landmarks.retrieval.calibration_fit` fits both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from landmarks.retrieval.fusion import DEPTHS, FusedHit, ModelHit, Ranking, fuse
from landmarks.retrieval.verdict import Neighbour, Verdict, Vote, decide, vote

_FORMAT = 1


@dataclass(frozen=True)
class GroupCalibration:
    """The calibration of some models that answer together; `slopes` in the order of `models`.

    `weights` are those of a vote's margin, share and best score, and the constant; a verdict is
    given from the confidence `threshold` on.
    """

    models: tuple[str, ...]
    slopes: tuple[float, ...]
    intercept: float
    weights: tuple[float, float, float, float]
    threshold: float

    def rankings(self, found: Mapping[str, Sequence[ModelHit]]) -> dict[str, Ranking]:
        """Return the models' hits on the group's scale."""
        return {
            # The constant is the group's; each of its models has an equal part.
            model: Ranking(found[model], 1.0, slope, self.intercept / len(self.models))
            for model, slope in zip(self.models, self.slopes, strict=True)
        }

    def fused(self, found: Mapping[str, Sequence[ModelHit]]) -> list[FusedHit]:
        """Return the models' hits in one ranking, by their log-odds."""
        return fuse(self.rankings(found))

    def confidence(self, found: Vote) -> float:
        """Return the probability that the landmark of a vote is the right one."""
        margin, share, best, constant = self.weights
        odds = margin * found.margin + share * found.share + best * found.best + constant
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, odds))))

    def verdict(
        self, found: Mapping[str, Sequence[ModelHit]], landmarks: Mapping[str, str]
    ) -> Verdict:
        """Return the verdict of the models' hits; `landmarks` says what each hit shows.

        Hits beyond the first depth are left out, as they were in the calibration: the size of the
        requested page does not change the verdict.
        """
        near = {
            model: [hit for hit in hits if hit.place <= DEPTHS[0]] for model, hits in found.items()
        }
        fused = self.fused(near)
        found_vote = vote([Neighbour(hit.id, landmarks[hit.id], hit.score) for hit in fused])
        confidence = self.confidence(found_vote) if found_vote else 0.0
        return decide(found_vote, confidence, self.threshold)


@dataclass(frozen=True)
class Calibration:
    """The calibration of a gallery, stored with each of its calibrated collections.

    `digests` are those of the models' encoders; it holds for no other digest. `queries` is how many
    known and how many unknown ones it was fitted with.
    """

    digests: Mapping[str, str]
    groups: tuple[GroupCalibration, ...]
    queries: tuple[int, int]
    unknowns_answered: float

    def group(self, digests: Mapping[str, str]) -> GroupCalibration | None:
        """Return the calibration of these models, by the digests of their encoders.

        If they were not calibrated together, as when one has been replaced since, it is that of the
        largest subset that was; None if there is none.
        """
        able = {model for model, digest in digests.items() if self.digests.get(model) == digest}
        fitting = [group for group in self.groups if able.issuperset(group.models)]
        return max(fitting, key=lambda group: len(group.models), default=None)

    def to_json(self) -> str:
        """Return the text for a collection's metadata."""
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Read what `to_json` returned; None if it is of another version."""
        values = json.loads(text)
        if values.get("format") != _FORMAT:
            return None
        groups = tuple(
            GroupCalibration(
                tuple(one["models"]),
                tuple(map(float, one["slopes"])),
                float(one["intercept"]),
                tuple(map(float, one["weights"])),  # type: ignore[arg-type]
                float(one["threshold"]),
            )
            for one in values["groups"]
        )
        known, unknown = values["queries"]
        return cls(
            dict(values["digests"]),
            groups,
            (int(known), int(unknown)),
            float(values["unknowns_answered"]),
        )
