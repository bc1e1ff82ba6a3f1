"""What can be searched for, as values. What is in here has been checked and can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from landmarks.photos.box import Box
from landmarks.vector_store.filters import EVERYTHING, Filter

DEFAULT_LIMIT = 10
DEFAULT_ALPHA = 3.0

FloatVector: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class PhotoQuery:
    """A photo's bytes, or a part of it. They stay out of the representation, and so of all logs."""

    photo: bytes = field(repr=False)
    box: Box | None = None


@dataclass(frozen=True)
class PointQuery:
    """A stored point, which is left out of the hits."""

    id: UUID


@dataclass(frozen=True, eq=False)
class VectorQuery:
    """A vector of one model: (dimension,) float32 of unit length."""

    model: str
    vector: FloatVector


Example: TypeAlias = PhotoQuery | PointQuery


@dataclass(frozen=True)
class ExamplesQuery:
    """What hits should be like, at least one, and what they should be unlike."""

    positive: tuple[Example, ...]
    negative: tuple[Example, ...] = ()


Target: TypeAlias = PhotoQuery | PointQuery | VectorQuery | ExamplesQuery


@dataclass(frozen=True)
class Expansion:
    """How many of the first hits improve the query's vector, and the power of their similarity."""

    neighbours: int
    alpha: float = DEFAULT_ALPHA


class FusionMethod(Enum):
    """How several rankings become one."""

    RECIPROCAL_RANK = "reciprocal rank"
    CALIBRATED_SCORE = "calibrated score"


@dataclass(frozen=True)
class FusionChoice:
    """The method, None for the best that can be had, and how much each named model counts."""

    method: FusionMethod | None = None
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SearchQuery:
    """A search that can be run. `models` is empty where all of the gallery's are asked."""

    gallery: str
    target: Target
    models: tuple[str, ...] = ()
    filter: Filter = EVERYTHING
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    score_threshold: float | None = None
    exact: bool = False
    hnsw_ef: int | None = None
    oversampling: float | None = None
    expansion: Expansion | None = None
    collapse_identical: bool = False
    fusion: FusionChoice = field(default_factory=FusionChoice)

    @property
    def end(self) -> int:
        """How many places of a ranking must be known to answer."""
        return self.offset + self.limit

    @property
    def examples(self) -> tuple[Example, ...]:
        """All photos and points that the query is made of; none of a vector."""
        match self.target:
            case ExamplesQuery(positive, negative):
                return (*positive, *negative)
            case PhotoQuery() | PointQuery():
                return (self.target,)
            case VectorQuery():
                return ()

    @property
    def photos(self) -> tuple[PhotoQuery, ...]:
        """The photos that must be encoded."""
        return tuple(one for one in self.examples if isinstance(one, PhotoQuery))

    @property
    def points(self) -> tuple[UUID, ...]:
        """The stored points that the query is made of; they are no hits."""
        return tuple(one.id for one in self.examples if isinstance(one, PointQuery))
