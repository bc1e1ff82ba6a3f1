"""Checked search queries, as plain values."""

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
    """A photo, or a part of it. Its bytes stay out of the repr, and so out of all logs."""

    photo: bytes = field(repr=False)
    box: Box | None = None


@dataclass(frozen=True)
class PointQuery:
    """A stored point, which is excluded from the hits."""

    id: UUID


@dataclass(frozen=True, eq=False)
class VectorQuery:
    """A vector of one model: (dimension,) float32 of unit length."""

    model: str
    vector: FloatVector


Example: TypeAlias = PhotoQuery | PointQuery


@dataclass(frozen=True)
class ExamplesQuery:
    """Examples that hits should be like, at least one, and that they should be unlike."""

    positive: tuple[Example, ...]
    negative: tuple[Example, ...] = ()


Target: TypeAlias = PhotoQuery | PointQuery | VectorQuery | ExamplesQuery


@dataclass(frozen=True)
class Expansion:
    """Query expansion: the number of first hits, and the power of their similarity."""

    neighbours: int
    alpha: float = DEFAULT_ALPHA


class FusionMethod(Enum):
    """How several rankings are fused into one."""

    RECIPROCAL_RANK = "reciprocal rank"
    CALIBRATED_SCORE = "calibrated score"


@dataclass(frozen=True)
class FusionChoice:
    """The method, None for the best available one, and the weights of models by name."""

    method: FusionMethod | None = None
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SearchQuery:
    """A search that can be run. Empty `models` means all of the gallery's."""

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
        """How many places of a ranking the page needs."""
        return self.offset + self.limit

    @property
    def examples(self) -> tuple[Example, ...]:
        """All photos and points of the query; none for a vector."""
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
        """The stored points of the query, which are excluded from the hits."""
        return tuple(one.id for one in self.examples if isinstance(one, PointQuery))
