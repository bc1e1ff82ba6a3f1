"""Fusion: one ranking out of several.

By reciprocal rank (Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
individual Rank Learning Methods", SIGIR 2009): a hit's score is the sum, over the rankings that
hold it, of 1 / (k + rank), with k = 60. Only ranks count, because the similarities of two models
are not on one scale. By calibrated score: each collection's calibration puts its similarities on
one scale, and their weighted mean counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RANK_CONSTANT = 60

# A hit's fused place depends on the depth of the rankings. So that it does not depend on the
# requested page, places up to the first of these come from rankings of that depth, the next ones
# from rankings of the next depth. The last is the deepest possible page.
DEPTHS = (30, 100, 1000, 11_000)


@dataclass(frozen=True)
class ModelHit:
    """A point in one model's ranking, and its place in the engine's ranking, from 1.

    Its rank is its position among the hits that are left.
    """

    id: str
    score: float
    place: int


@dataclass(frozen=True)
class Ranking:
    """One model's hits, best first, and how much they count.

    `slope` and `intercept` put similarities on the scale of all models: the log-odds that a hit
    shows the query's landmark. Without a slope, ranks count.
    """

    hits: Sequence[ModelHit]
    weight: float = 1.0
    slope: float | None = None
    intercept: float = 0.0


@dataclass(frozen=True)
class ModelRank:
    """A point's place, from 1, and cosine similarity in one model's ranking."""

    model: str
    rank: int
    score: float


@dataclass(frozen=True)
class FusedHit:
    """A point in the fused ranking, with its standings in the order of the models."""

    id: str
    score: float
    standings: tuple[ModelRank, ...]

    @property
    def best_rank(self) -> int:
        """Its best place in any model's ranking."""
        return min(standing.rank for standing in self.standings)


def depth_for(end: int) -> int:
    """Return how many hits each model must return for the places up to `end`.

    A single model is read to a fixed depth as well: the engine may cut points of equal score
    anywhere, so pages read to different depths would repeat some and omit others.
    """
    return next((depth for depth in DEPTHS if depth >= end), end)


def fuse(rankings: Mapping[str, Ranking]) -> list[FusedHit]:
    """Return every point of `rankings`, by model, in fused order.

    Ties go to the better best rank, then to the smaller id. Rankings that were read to the next of
    `DEPTHS` leave the places before as they are; there alone, a score may be above the one before.
    """
    placed: dict[str, FusedHit] = {}
    if len(rankings) > 1:
        for depth in DEPTHS:
            if all(one.hits[-1].place <= depth for one in rankings.values() if one.hits):
                break
            for hit in _fused_at(rankings, depth):
                if len(placed) == depth:
                    break
                placed.setdefault(hit.id, hit)
    for hit in _fused_at(rankings, DEPTHS[-1]):
        placed.setdefault(hit.id, hit)
    return list(placed.values())


def _fused_at(rankings: Mapping[str, Ranking], depth: int) -> list[FusedHit]:
    standings: dict[str, dict[str, ModelRank]] = {}
    lowest: dict[str, float] = {}
    for model, ranking in rankings.items():
        for rank, hit in enumerate(ranking.hits, start=1):
            if hit.place > depth:
                break
            standings.setdefault(hit.id, {})[model] = ModelRank(model, rank, hit.score)
            lowest[model] = hit.score

    def score(places: Mapping[str, ModelRank]) -> float:
        return sum(
            _worth(ranking, places.get(model), lowest.get(model))
            for model, ranking in rankings.items()
        )

    fused = [FusedHit(id_, score(found), tuple(found.values())) for id_, found in standings.items()]
    return sorted(fused, key=lambda hit: (-hit.score, hit.best_rank, hit.id))


def _worth(ranking: Ranking, standing: ModelRank | None, lowest: float | None) -> float:
    """Return one model's part of a hit's score."""
    if ranking.slope is None:
        return ranking.weight / (RANK_CONSTANT + standing.rank) if standing else 0.0
    # A hit that a model did not find is at best as similar as the last one that it found.
    similarity = standing.score if standing else lowest
    if similarity is None:  # it found nothing at all
        return 0.0
    return ranking.weight * (ranking.slope * similarity + ranking.intercept)
