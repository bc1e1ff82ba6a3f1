"""Points to fill collections with: random directions, and payloads as indexing writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid5

import numpy as np

from landmarks.vector_store.points import FloatVector, PhotoPayload, Point

DIMENSION = 512
LANDMARKS = 50
_NAMESPACE = UUID(int=0)


def points(count: int, first: int = 0, dimension: int = DIMENSION) -> list[Point]:
    """Return points, always the same; those from `first` on."""
    vectors = unit_rows(np.random.default_rng(first), count, dimension)
    return [
        point(number, vector, number % LANDMARKS) for number, vector in enumerate(vectors, first)
    ]


def point(number: int, vector: FloatVector, landmark: int, source: str = "photos") -> Point:
    """Return a point of a landmark, with a payload as indexing writes it."""
    payload = PhotoPayload(
        uri=f"file:///photos/{landmark}/{number}.jpg",
        source=source,
        path=f"{landmark}/{number}.jpg",
        sha256=f"{number:064x}",
        width=640,
        height=480,
        indexed_at=datetime(2026, 1, 1, tzinfo=UTC),
        job_id="bench",
        landmark=str(landmark),
    )
    return Point(point_id(number), vector, payload.to_payload())


def point_id(number: int) -> UUID:
    """Return the id of a numbered point."""
    return uuid5(_NAMESPACE, str(number))


def batches(count: int, size: int = 500, dimension: int = DIMENSION) -> Iterator[Sequence[Point]]:
    """Yield `count` points in batches, made on demand."""
    for first in range(0, count, size):
        yield points(min(size, count - first), first, dimension)


def unit_rows(generator: np.random.Generator, count: int, dimension: int) -> FloatVector:
    """Return random unit rows (count, dimension), float32."""
    rows = generator.normal(size=(count, dimension)).astype(np.float32)
    unit: FloatVector = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
