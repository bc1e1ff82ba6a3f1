"""Reads and writes the points of a collection. For threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from qdrant_client import QdrantClient, models

from landmarks.batched import batched
from landmarks.settings import QdrantSettings
from landmarks.vector_store.client import address_of
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.filters import EVERYTHING, Equals, Filter, to_qdrant
from landmarks.vector_store.paging import in_parts, scroll_pages
from landmarks.vector_store.points import FloatVector, Point, Scalar
from landmarks.vector_store.queries import (
    FacetCount,
    Hit,
    Query,
    StoredPoint,
    facet_counts,
    hits,
    point_ids,
    point_struct,
    query_request,
    stored_points,
    vectors,
    whole_seconds,
)

_SCAN_PAGE = 1000


class PointStore:
    """Reads and writes points. Every write waits until Qdrant has confirmed it.

    `collection` is the name of a collection or of an alias, everywhere.
    """

    def __init__(self, client: QdrantClient, settings: QdrantSettings) -> None:
        self._client = client
        self._address = address_of(settings)

    def payloads(self, collection: str, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, object]]:
        """Return the payloads of the points that exist."""
        if not ids:
            return {}

        def read(some: Sequence[UUID]) -> list[models.Record]:
            with qdrant_failures(self._address):
                return self._client.retrieve(
                    collection, point_ids(some), with_payload=True, with_vectors=False
                )

        parts = in_parts(ids, read)
        return {point.id: point.payload for records in parts for point in stored_points(records)}

    def vectors(self, collection: str, ids: Sequence[UUID]) -> dict[UUID, FloatVector]:
        """Return the vectors of the points that exist: (dimension,) float32, unit length."""
        if not ids:
            return {}
        with qdrant_failures(self._address):
            records = self._client.retrieve(
                collection, point_ids(ids), with_payload=False, with_vectors=True
            )
        return vectors(records)

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Store points, replacing those with the same ids, payload included."""
        if not points:
            return
        structs = [point_struct(point) for point in points]
        with qdrant_failures(self._address):
            self._client.upsert(collection, structs, wait=True)

    def set_payload(
        self, collection: str, ids: Sequence[UUID], payload: Mapping[str, Scalar]
    ) -> None:
        """Set these fields of the points' payloads, such as `stale`, and keep the others."""
        if not ids:
            return
        with qdrant_failures(self._address):
            self._client.set_payload(
                collection, dict(payload), models.PointIdsList(points=point_ids(ids)), wait=True
            )

    def overwrite_payloads(
        self, collection: str, payloads: Mapping[UUID, Mapping[str, Scalar]]
    ) -> None:
        """Replace the payload of each point; vectors stay."""
        if not payloads:
            return
        operations: list[models.UpdateOperation] = [
            models.OverwritePayloadOperation(
                overwrite_payload=models.SetPayload(payload=dict(payload), points=[str(point)])
            )
            for point, payload in payloads.items()
        ]
        with qdrant_failures(self._address):
            self._client.batch_update_points(collection, operations, wait=True)

    def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        """Delete points; ids that do not exist are no error."""
        if not ids:
            return
        with qdrant_failures(self._address):
            self._client.delete(collection, models.PointIdsList(points=point_ids(ids)), wait=True)

    def delete_where(self, collection: str, conditions: Filter) -> None:
        """Delete all points that pass a filter; raises ValueError for the empty one."""
        chosen = to_qdrant(conditions)
        if chosen is None:
            raise ValueError("an empty filter would delete every point; drop the collection")
        with qdrant_failures(self._address):
            self._client.delete(collection, models.FilterSelector(filter=chosen), wait=True)

    def delete_source(self, collection: str, source: str, path_prefix: str = "") -> int:
        """Delete the points of a source whose path has this prefix, and return how many."""
        if not path_prefix:
            count = self.count_source(collection, source)
            self.delete_where(collection, Filter(must=(Equals("source", source),)))
            return count
        ids = self._of_source(collection, source, path_prefix)
        for some in batched(ids, _SCAN_PAGE):
            self.delete(collection, some)
        return len(ids)

    def count_source(self, collection: str, source: str, path_prefix: str = "") -> int:
        """Return how many points `delete_source` would delete."""
        if path_prefix:
            return len(self._of_source(collection, source, path_prefix))
        return self.count(collection, Filter(must=(Equals("source", source),)))

    def _of_source(self, collection: str, source: str, path_prefix: str) -> list[UUID]:
        chosen = Filter(must=(Equals("source", source),))
        return [  # Qdrant matches no prefixes
            point.id
            for point in self.scan(collection, chosen, ["path"])
            if str(point.payload.get("path", "")).startswith(path_prefix)
        ]

    def scan(
        self, collection: str, conditions: Filter = EVERYTHING, fields: Sequence[str] | None = None
    ) -> Iterator[StoredPoint]:
        """Return every point that passes a filter, in the order of ids, a page at a time.

        `fields` limits the part of the payloads that is read; None is all.
        """
        for page in scroll_pages(
            self._client,
            self._address,
            collection,
            _SCAN_PAGE,
            conditions=conditions,
            fields=fields,
        ):
            yield from stored_points(page)

    def count(self, collection: str, conditions: Filter = EVERYTHING) -> int:
        """Return how many points pass a filter."""
        with qdrant_failures(self._address):
            return self._client.count(collection, to_qdrant(conditions), exact=True).count

    def facet(
        self, collection: str, field: str, conditions: Filter = EVERYTHING, limit: int = 1000
    ) -> list[FacetCount]:
        """Return the values of an indexed field and how many points have each, most first."""
        with qdrant_failures(self._address):
            return facet_counts(
                self._client.facet(
                    collection, field, to_qdrant(conditions), limit=limit, exact=True
                )
            )

    def query(
        self, collection: str, queries: Sequence[Query], timeout_seconds: float | None = None
    ) -> list[list[Hit]]:
        """Run searches in one round trip; one list of hits for each, best first."""
        if not queries:
            return []
        requests = [query_request(query) for query in queries]
        with qdrant_failures(self._address):
            answers = self._client.query_batch_points(
                collection, requests, timeout=whole_seconds(timeout_seconds)
            )
        return [hits(answer) for answer in answers]
