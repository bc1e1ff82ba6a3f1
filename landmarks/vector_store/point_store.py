"""Reads and writes the points of a collection. For threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import structlog
from qdrant_client import QdrantClient, models

from landmarks.errors import LandmarksError
from landmarks.settings import QdrantSettings
from landmarks.vector_store.client import address_of
from landmarks.vector_store.errors import is_engine_failure, qdrant_failures
from landmarks.vector_store.filters import EVERYTHING, Equals, Filter, to_qdrant
from landmarks.vector_store.marks import MARK, Mark, Seen, of_photo
from landmarks.vector_store.paging import in_parts, scroll_pages
from landmarks.vector_store.points import FloatVector, PayloadValue, Point
from landmarks.vector_store.queries import (
    FacetCount,
    Hit,
    Query,
    StoredPoint,
    counted,
    facet_counts,
    hits,
    point_ids,
    point_struct,
    query_request,
    read_fields,
    stored_points,
    uuid_of,
    vectors,
    whole_seconds,
)

_log = structlog.get_logger(__name__)

_SCAN_PAGE = 1000


class PointStore:
    """Reads photos' points, and writes those that nobody else writes. For others: `FencedWrites`.

    Every write waits until Qdrant has confirmed it.

    `collection` is the name of a collection or of an alias, everywhere.
    """

    def __init__(self, client: QdrantClient, settings: QdrantSettings) -> None:
        self._client = client
        self._address = address_of(settings)

    def payloads(self, collection: str, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, object]]:
        """Return the payloads of the photos' points that exist."""
        return {point.id: point.payload for point in stored_points(self._records(collection, ids))}

    def states(
        self, collection: str, ids: Sequence[UUID]
    ) -> dict[UUID, tuple[Seen, Mapping[str, object]]]:
        """Return what is at these ids, marks too: the bookkeeping, and the photos' payloads.

        A point whose payload Qdrant cannot read is a mark: DAMAGED.
        """
        found = {
            uuid_of(one.id): one.payload or {} for one in self._readable_records(collection, ids)
        }
        return {one: (Seen.of(payload), of_photo(payload)) for one, payload in found.items()}

    def _readable_records(
        self, collection: str, ids: Sequence[UUID], fields: Sequence[str] | None = None
    ) -> list[models.Record]:
        """Read points one by one where that is what it takes to find the damaged ones."""
        try:
            return self._records(collection, ids, fields)
        except LandmarksError as error:
            if not is_engine_failure(error):
                raise
            if len(ids) > 1:
                half = len(ids) // 2
                return [
                    record
                    for some in (ids[:half], ids[half:])
                    for record in self._readable_records(collection, some, fields)
                ]
            _log.warning(
                "a payload cannot be read; indexing its photo again replaces it",
                collection=collection,
                point=str(ids[0]),
                reason=str(error),
            )
            return [models.Record(id=str(ids[0]), payload={MARK: Mark.DAMAGED.value})]

    def _records(
        self, collection: str, ids: Sequence[UUID], fields: Sequence[str] | None = None
    ) -> list[models.Record]:
        if not ids:
            return []
        read = read_fields(fields)

        def retrieve(some: Sequence[UUID]) -> list[models.Record]:
            with qdrant_failures(self._address):
                return self._client.retrieve(
                    collection,
                    point_ids(some),
                    with_payload=True if read is None else read,
                    with_vectors=False,
                )

        return [record for part in in_parts(ids, retrieve) for record in part]

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
        """Store points, replacing those with the same ids, payload included.

        Raises InvalidInputError, and stores none, if a vector cannot be searched for.
        """
        if not points:
            return
        structs = [point_struct(one.id, one.vector, one.payload) for one in points]
        with qdrant_failures(self._address):
            self._client.upsert(collection, structs, wait=True)

    def set_payload(
        self, collection: str, ids: Sequence[UUID], payload: Mapping[str, PayloadValue]
    ) -> None:
        """Set these fields of the points' payloads, such as `stale`, and keep the others."""
        if not ids:
            return
        with qdrant_failures(self._address):
            self._client.set_payload(
                collection, dict(payload), models.PointIdsList(points=point_ids(ids)), wait=True
            )

    def overwrite_payloads(
        self, collection: str, payloads: Mapping[UUID, Mapping[str, PayloadValue]]
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

    def count_source(self, collection: str, source: str, path_prefix: str = "") -> int:
        """Return how many points of a source have this prefix of the path."""
        chosen = Filter(must=(Equals("source", source),))
        if not path_prefix:
            return self.count(collection, chosen)
        found = self.scan(collection, chosen, ["path"])  # Qdrant matches no prefixes
        return sum(str(one.payload.get("path", "")).startswith(path_prefix) for one in found)

    def scan(
        self, collection: str, conditions: Filter = EVERYTHING, fields: Sequence[str] | None = None
    ) -> Iterator[StoredPoint]:
        """Return every photo's point that passes a filter, in the order of ids, a page at a time.

        Points whose payload Qdrant cannot read are left out, and logged.

        `fields` limits the part of the payloads that is read; None is all.
        """
        for page in scroll_pages(
            self._client,
            self._address,
            collection,
            _SCAN_PAGE,
            conditions=conditions,
            fields=read_fields(fields),
            unreadable=lambda ids: self._readable_records(collection, ids, fields),
        ):
            yield from stored_points(page)

    def count(self, collection: str, conditions: Filter = EVERYTHING) -> int:
        """Return how many photos' points pass a filter."""
        with qdrant_failures(self._address):
            counts = [
                self._client.count(collection, one, exact=True).count for one in counted(conditions)
            ]
        return counts[0] - sum(counts[1:])

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
        with qdrant_failures(self._address, callers_deadline=timeout_seconds is not None):
            answers = self._client.query_batch_points(
                collection, requests, timeout=whole_seconds(timeout_seconds)
            )
        return [hits(answer) for answer in answers]
