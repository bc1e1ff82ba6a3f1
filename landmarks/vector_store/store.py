"""The vector store for threads: one connection, collections, points, and writes to them."""

from __future__ import annotations

from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.fenced_writes import FencedWrites
from landmarks.vector_store.held_photos import HeldPhotos
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.settings import VectorStoreSettings


class VectorStore:
    """Owns a connection to Qdrant, opened on first use; close it when done.

    Raises ConfigurationError if a TLS file cannot be used.
    """

    def __init__(self, settings: VectorStoreSettings) -> None:
        self._client = connect(settings)
        self.collections = Collections(self._client, settings)
        self.points = PointStore(self._client, settings)
        self.held_photos = HeldPhotos(self._client, settings)
        self.writes = FencedWrites(self._client, settings)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
