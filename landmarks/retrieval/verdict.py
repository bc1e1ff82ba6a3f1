"""Which landmark the nearest photos say it is.

The distance-weighted nearest-neighbour rule of Dudani, "The Distance-Weighted k-Nearest-Neighbor
Rule", IEEE Transactions on Systems, Man, and Cybernetics, 1976, in its form by rank: of k
neighbours the first has k votes and the last has one. Landmarks often have fewer photos than k, so
that plain counting would let far neighbours of a large landmark outvote near ones of a small one.

How far a vote can be trusted, its calibration says: `landmarks.retrieval.calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

NEIGHBOURS = 10


class VerdictKind(Enum):
    """How a verdict came out."""

    NO_HITS = "no hits"
    UNCALIBRATED = "uncalibrated"
    KNOWN = "known"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Neighbour:
    """A near photo, what it shows and its score. An empty landmark is not known: it has no vote."""

    id: str
    landmark: str
    score: float = 0.0


@dataclass(frozen=True)
class Vote:
    """The landmark with the most votes, its share of all votes (0 to 1), and who voted for it.

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
    """What is told. `confidence` and the `threshold` it must reach: None without a calibration."""

    outcome: VerdictKind
    vote: Vote | None = None
    confidence: float | None = None
    threshold: float | None = None


def vote(hits: Sequence[Neighbour], neighbours: int = NEIGHBOURS) -> Vote | None:
    """Return the vote of the first `neighbours` of `hits`, best first; None where nobody has one.

    A tie goes to the landmark of the nearer photo. Where all hits that have a landmark show the
    same, the margin is that to the last hit of all: any other landmark is farther.
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
