"""One ranking out of several, by reciprocal rank fusion.

Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
Learning Methods", SIGIR 2009: a hit's score is the sum, over the rankings that hold it, of
1 / (k + rank), with k = 60. Only ranks count, because the similarities of two models are not on
one scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RANK_CONSTANT = 60

# A hit's fused place depends on how deep the rankings are that are fused. So that it does not
# depend on which page was asked for, places up to the first of these come from rankings of that
# depth, the next ones from rankings of the next depth. The last is the deepest page there is.
DEPTHS = (100, 1000, 11_000)


@dataclass(frozen=True)
class Scored:
    """A point in one model's ranking; its place is its rank."""

    id: str
    score: float


@dataclass(frozen=True)
class Standing:
    """A point's place, from 1, and cosine similarity in one model's ranking."""

    model: str
    rank: int
    score: float


@dataclass(frozen=True)
class Fused:
    """A point in the fused ranking, with its standings in the order of the models."""

    id: str
    score: float
    standings: tuple[Standing, ...]

    @property
    def best_rank(self) -> int:
        """Its best place in any model's ranking."""
        return min(standing.rank for standing in self.standings)


def depth_for(end: int) -> int:
    """Return how many hits each model must give for the places up to `end`.

    One model too is read to a fixed depth: an engine cuts points of equal score where it likes, so
    pages that were read to different depths would repeat some and leave others out.
    """
    return next((depth for depth in DEPTHS if depth >= end), end)


def fuse(rankings: Mapping[str, Sequence[Scored]]) -> list[Fused]:
    """Return every point of `rankings` (model: hits, best first) in fused order.

    Ties go to the better best rank, then to the smaller id. Rankings that were read to the next of
    `DEPTHS` leave the places before as they are; there alone, a score may be above the one before.
    """
    placed: dict[str, Fused] = {}
    if len(rankings) > 1:
        for depth in DEPTHS:
            if all(len(hits) <= depth for hits in rankings.values()):
                break
            for hit in _fused_at(rankings, depth):
                if len(placed) == depth:
                    break
                placed.setdefault(hit.id, hit)
    for hit in _fused_at(rankings, None):
        placed.setdefault(hit.id, hit)
    return list(placed.values())


def _fused_at(rankings: Mapping[str, Sequence[Scored]], depth: int | None) -> list[Fused]:
    standings: dict[str, list[Standing]] = {}
    for model, hits in rankings.items():
        for rank, hit in enumerate(hits[:depth], start=1):
            standings.setdefault(hit.id, []).append(Standing(model, rank, hit.score))
    fused = [
        Fused(id_, sum(1 / (RANK_CONSTANT + place.rank) for place in places), tuple(places))
        for id_, places in standings.items()
    ]
    return sorted(fused, key=lambda hit: (-hit.score, hit.best_rank, hit.id))
