"""Which landmark the nearest photos say it is: a vote, not yet a probability.

The distance-weighted nearest-neighbour rule of Dudani, "The Distance-Weighted k-Nearest-Neighbor
Rule", IEEE Transactions on Systems, Man, and Cybernetics, 1976, in its form by rank: of k
neighbours the first has k votes and the last has one. Landmarks often have fewer photos than k, so
that plain counting would let far neighbours of a large landmark outvote near ones of a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

NEIGHBOURS = 10


class Outcome(Enum):
    """How a verdict came out."""

    NO_HITS = "no hits"
    UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True)
class Neighbour:
    """A near photo and what it shows; an empty landmark is not known, and votes for none."""

    id: str
    landmark: str


@dataclass(frozen=True)
class Verdict:
    """The landmark with the most votes, its share of all votes (0 to 1), and who voted for it."""

    outcome: Outcome
    landmark: str = ""
    vote_share: float = 0.0
    evidence: tuple[str, ...] = ()


def vote(hits: Sequence[Neighbour], neighbours: int = NEIGHBOURS) -> Verdict:
    """Return the verdict of the first `neighbours` of `hits`, which are in fused order.

    A tie goes to the landmark of the nearer photo.
    """
    voters = hits[:neighbours]
    votes: dict[str, int] = {}
    for rank, voter in enumerate(voters):
        if voter.landmark:
            votes[voter.landmark] = votes.get(voter.landmark, 0) + len(voters) - rank
    if not votes:
        return Verdict(Outcome.NO_HITS)
    landmark = max(votes, key=lambda name: votes[name])  # the first of equals, so the nearest
    return Verdict(
        Outcome.UNCALIBRATED,
        landmark,
        votes[landmark] / (len(voters) * (len(voters) + 1) / 2),
        tuple(voter.id for voter in voters if voter.landmark == landmark),
    )
