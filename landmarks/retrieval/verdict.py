"""The verdict: which landmark the nearest photos vote for.

The distance-weighted nearest-neighbour rule of Dudani, "The Distance-Weighted k-Nearest-Neighbor
Rule", IEEE Transactions on Systems, Man, and Cybernetics, 1976, in its form by rank: of k
neighbours the first has k votes and the last has one. Landmarks often have fewer photos than k, so
that plain counting would let far neighbours of a large landmark outvote near ones of a small one.

`landmarks.retrieval.calibration` says how far a vote can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

NEIGHBOURS = 10
# The share of photos of unknown landmarks that may be given one of the gallery's landmarks. A
# calibration chooses its threshold by it.
UNKNOWNS_ANSWERED = 0.05


class VerdictKind(Enum):
    """The kind of a verdict."""

    NO_HITS = "no hits"
    UNCALIBRATED = "uncalibrated"
    KNOWN = "known"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Neighbour:
    """A near photo, its landmark and its score. A photo without a landmark has no vote."""

    id: str
    landmark: str
    score: float = 0.0


@dataclass(frozen=True)
class Vote:
    """The landmark with the most votes, its share of all votes (0 to 1), and the photos that voted.

    `best` is the score of its nearest photo; `margin` how far that is above the nearest photo of
    any other landmark.
    """

    landmark: str
    share: float
    evidence: tuple[str, ...]
    best: float
    margin: float


@dataclass(frozen=True)
class Verdict:
    """The answer. `confidence` and the `threshold` it must reach are None without a calibration."""

    outcome: VerdictKind
    vote: Vote | None = None
    confidence: float | None = None
    threshold: float | None = None


def vote(hits: Sequence[Neighbour], neighbours: int = NEIGHBOURS) -> Vote | None:
    """Return the vote of the first `neighbours` of `hits`, best first; None if none has a landmark.

    A tie goes to the landmark of the nearer photo. If all hits with a landmark show the same one,
    the margin is measured to the last hit of all: any other landmark is farther.
    """
    voters = hits[:neighbours]
    votes: dict[str, int] = {}
    for rank, voter in enumerate(voters):
        if voter.landmark:
            votes[voter.landmark] = votes.get(voter.landmark, 0) + len(voters) - rank
    if not votes:
        return None
    landmark = max(votes, key=lambda name: votes[name])  # the first of equals, so the nearest
    best = next(hit.score for hit in hits if hit.landmark == landmark)
    other = next((hit.score for hit in hits if hit.landmark not in ("", landmark)), hits[-1].score)
    return Vote(
        landmark,
        votes[landmark] / (len(voters) * (len(voters) + 1) / 2),
        tuple(voter.id for voter in voters if voter.landmark == landmark),
        best,
        best - other,
    )


def decide(found: Vote | None, confidence: float, threshold: float) -> Verdict:
    """Return the verdict of a vote: its landmark is named from the confidence `threshold` on."""
    if found is None:
        return Verdict(VerdictKind.NO_HITS)
    outcome = VerdictKind.KNOWN if confidence >= threshold else VerdictKind.UNKNOWN
    return Verdict(outcome, found, confidence, threshold)
