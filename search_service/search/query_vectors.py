"""Turns queries into vectors of one model: encodes photos, reads points, combines examples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from landmarks.encoders.directory_aio import AsyncEncoderDirectory, PhotoVector
from landmarks.errors import InvalidInputError, LandmarksError, NotFoundError
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collection_info import Lineage
from landmarks.vector_store.queries import Hit
from search_service.search.query import (
    Example,
    ExamplesQuery,
    FloatVector,
    PhotoQuery,
    PointQuery,
    SearchQuery,
    VectorQuery,
)

# The weight of the mean of the negative examples; that of the positive ones is 1.
_NEGATIVE_SHARE = 0.5


@dataclass(frozen=True)
class Vectorized:
    """A vector for each query, (dimension,) float32 of unit length, or the error."""

    vectors: Sequence[FloatVector | Exception]
    encode_seconds: float


class QueryVectorizer:
    """Turns several queries into vectors with one call to the encoder and one to Qdrant."""

    def __init__(self, store: SearchStore, encoders: AsyncEncoderDirectory) -> None:
        self._store = store
        self._encoders = encoders

    async def vectorize(
        self, queries: Sequence[SearchQuery], lineage: Lineage, deadline: float
    ) -> Vectorized:
        """Return the vectors of `queries` for the model and digest of `lineage`.

        `deadline` is on the clock of `time.monotonic`.
        """
        photos = list(dict.fromkeys(photo for query in queries for photo in query.photos))
        points = list(dict.fromkeys(point for query in queries for point in query.points))
        started = time.monotonic()
        (encoded, seconds), stored = await asyncio.gather(
            self._encoded(photos, lineage, deadline - started),
            self._store.vectors(lineage.name, points),
        )
        vectors: list[FloatVector | Exception] = []
        for query in queries:
            try:
                vectors.append(_vector(query, lineage, encoded, stored))
            except LandmarksError as error:
                vectors.append(error)
        return Vectorized(vectors, seconds)

    async def _encoded(
        self, photos: Sequence[PhotoQuery], lineage: Lineage, timeout_seconds: float
    ) -> tuple[Mapping[PhotoQuery, FloatVector | LandmarksError], float]:
        """Return each photo's vector or error, and the seconds it took."""
        if not photos:
            return {}, 0.0
        model, digest = lineage.model, lineage.digest
        started = time.monotonic()
        outcomes: Sequence[PhotoVector | LandmarksError]
        try:
            if len(photos) == 1:  # a single photo has priority over batches
                [photo] = photos
                outcomes = [
                    await self._encoders.encode(
                        model, photo.photo, digest, timeout_seconds, photo.box
                    )
                ]
            else:
                outcomes = await self._encoders.encode_many(
                    model, [(one.photo, one.box) for one in photos], digest, timeout_seconds
                )
        except LandmarksError as error:
            outcomes = [error] * len(photos)
        vectors = {
            photo: one.vector if isinstance(one, PhotoVector) else one
            for photo, one in zip(photos, outcomes, strict=True)
        }
        return vectors, time.monotonic() - started


def expanded(vector: FloatVector, hits: Sequence[Hit], alpha: float) -> FloatVector:
    """Return a query's vector expanded by those of its first hits: α-weighted query expansion.

    Radenović, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", 2018:
    the weight of a hit's vector is its similarity, if above 0, to the power of `alpha`.
    """
    total = vector.astype(np.float64)
    for hit in hits:
        if hit.vector is not None and hit.score > 0:
            total += hit.score**alpha * hit.vector
    return _unit(total, "the query and its first hits")


def _vector(
    query: SearchQuery,
    lineage: Lineage,
    encoded: Mapping[PhotoQuery, FloatVector | LandmarksError],
    stored: Mapping[UUID, FloatVector],
) -> FloatVector:
    def of(example: Example) -> FloatVector:
        if isinstance(example, PhotoQuery):
            found = encoded[example]
            if isinstance(found, LandmarksError):
                raise found
            return _of_dimension(found, lineage)
        if example.id not in stored:
            raise NotFoundError(
                f"gallery {query.gallery!r} has no point {example.id} in its collection of"
                f" {lineage.model!r}"
            )
        return stored[example.id]

    match query.target:
        case PhotoQuery() | PointQuery():
            return of(query.target)
        case VectorQuery(_, vector):
            return _of_dimension(vector, lineage)
        case ExamplesQuery(positive, negative):
            return combined([of(one) for one in positive], [of(one) for one in negative])


def combined(positive: Sequence[FloatVector], negative: Sequence[FloatVector]) -> FloatVector:
    """Return the mean of the positive unit vectors minus half the mean of the negative ones.

    After Rocchio, "Relevance feedback in information retrieval", 1971. Raises InvalidInputError if
    they cancel each other out.
    """
    total = _mean(positive)
    if negative:
        total -= _NEGATIVE_SHARE * _mean(negative)
    return _unit(total, "the examples")


def _mean(vectors: Sequence[FloatVector]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.stack(vectors).astype(np.float64).mean(axis=0)
    return total


def _unit(total: NDArray[np.float64], what: str) -> FloatVector:
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise InvalidInputError(f"{what} cancel each other out: no direction is left to search in")
    return (total / length).astype(np.float32)


def _of_dimension(vector: FloatVector, lineage: Lineage) -> FloatVector:
    if vector.shape != (lineage.dimension,):
        raise InvalidInputError(
            f"the vector has {vector.size} values; vectors of {lineage.model!r} have"
            f" {lineage.dimension}",
            field="vector",
        )
    return vector
