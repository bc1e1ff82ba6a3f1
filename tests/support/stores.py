"""Engines under one interface for the contract suite, and photos to put in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from qdrant_client import QdrantClient

from landmarks.vector_store.collection_info import Lineage
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.fenced_writes import FencedWrites
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import FloatVector, PhotoPayload, point_id
from landmarks.vector_store.settings import VectorStoreSettings

DIGEST = "ab" * 32
DIMENSION = 16

# Where a Qdrant server is, for the contract suite to run against it too.
SERVER_URL = "LANDMARKS_TEST_QDRANT_URL"


@dataclass(frozen=True)
class StoreUnderTest:
    """One of the engines, with the same things built on it."""

    name: str
    client: QdrantClient
    settings: VectorStoreSettings
    gallery: str

    @property
    def collections(self) -> Collections:
        return Collections(self.client, self.settings)

    @property
    def points(self) -> PointStore:
        return PointStore(self.client, self.settings)

    @property
    def writes(self) -> FencedWrites:
        return FencedWrites(self.client, self.settings)

    def collection(self, dimension: int = DIMENSION) -> Lineage:
        return self.collections.to_write(self.gallery, "vgg16", DIGEST, dimension)


@dataclass(frozen=True)
class Filled:
    """An engine with a collection of photos that no test changes."""

    engine: StoreUnderTest
    name: str
    rows: FloatVector
    count: int = 150


def unit_rows(count: int, dimension: int = DIMENSION, seed: int = 0) -> FloatVector:
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def photo(number: int, **changes: object) -> PhotoPayload:
    values = {
        "uri": f"file:///photos/{number}.jpg",
        "source": "photos" if number % 2 else "archive",
        "path": f"{number}.jpg",
        "sha256": f"{number:064x}",
        "width": 100 + number,
        "height": 80,
        "indexed_at": datetime(2026, 1, 1, tzinfo=UTC),
        "job_id": "job-1",
        "landmark": f"landmark-{number % 5}" if number % 7 else None,
        "columns": {
            "year": 1900 + number,
            "night": number % 3 == 0,
            "taken by": f"p{number % 4}",
            "caption": f"a golden dome, seen from gate {number % 6}",
        },
    }
    return PhotoPayload(**{**values, **changes})


def photo_id(number: int) -> UUID:
    return point_id("sample", "photos", f"{number}.jpg")
