"""Searches collections, reads points and lists what is live. For the event loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from uuid import UUID

from qdrant_client import grpc as q
from qdrant_client import models

from landmarks.errors import LandmarksError, NotFoundError, UnsupportedError
from landmarks.naming import parse_alias_name
from landmarks.settings import QdrantSettings
from landmarks.vector_store.client import address_of, connect_async, key_metadata, open_aio_channel
from landmarks.vector_store.collection_info import (
    CollectionState,
    LiveCollection,
    acknowledgements_of,
    aliases_of,
    copies_of,
    is_of_gallery,
    live_collection_of,
    state_of,
    unreadable_state,
)
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.filters import EVERYTHING, Filter, to_qdrant
from landmarks.vector_store.marks import MARK, only_marks
from landmarks.vector_store.points import FloatVector
from landmarks.vector_store.queries import (
    FacetCount,
    Hit,
    Query,
    StoredPoint,
    counted,
    facet_counts,
    point_ids,
    stored_points,
    vectors,
    whole_seconds,
)
from landmarks.vector_store.wire import hits_of, query_message


class SearchStore:
    """Searches collections and returns which are live.

    `Collections` changes them; those rare operations run in a thread.
    """

    def __init__(self, settings: QdrantSettings) -> None:
        """Connect on first use.

        Raises ConfigurationError if a TLS file cannot be used.
        """
        self._client = connect_async(settings)
        self._channel = open_aio_channel(settings)
        self._points = q.PointsStub(self._channel)  # type: ignore[no-untyped-call]
        self._metadata = key_metadata(settings)
        self._address = address_of(settings)
        self._timeout_seconds = math.ceil(settings.qdrant_timeout_seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()
        await self._client.close()

    async def ping(self) -> None:
        """Make a small request. Raises UnavailableError if Qdrant does not answer."""
        with qdrant_failures(self._address):
            await self._client.get_aliases()

    async def live_of(self, gallery: str) -> list[LiveCollection]:
        """Return the live collections of a gallery, by model; no other collection is read."""
        with qdrant_failures(self._address):
            aliases = aliases_of(await self._client.get_aliases())
            return [
                live_collection_of(name, await self._client.get_collection(name))
                for alias, name in sorted(aliases.items())
                if (parsed := parse_alias_name(alias)) is not None and parsed[0] == gallery
            ]

    async def galleries(self) -> list[str]:
        """Return the names of all galleries that have a live collection."""
        with qdrant_failures(self._address):
            aliases = aliases_of(await self._client.get_aliases())
        return sorted({parsed[0] for alias in aliases if (parsed := parse_alias_name(alias))})

    async def states(self, gallery: str | None = None) -> list[CollectionState]:
        """Return all collections of ours, or those of one gallery, by name."""
        found: list[CollectionState] = []
        with qdrant_failures(self._address):
            live = set(aliases_of(await self._client.get_aliases()).values())
            names = [one.name for one in (await self._client.get_collections()).collections]
        for name in sorted(names):
            if not is_of_gallery(name, gallery):
                continue
            try:
                with qdrant_failures(self._address):
                    info = await self._client.get_collection(name)
                    marks = 0
                    if MARK in info.payload_schema:  # without, there are none
                        marks = (await self._client.count(name, only_marks(), exact=True)).count
                copies = await self._copies(name, info)
                found.append(state_of(name, info, live=name in live, marks=marks, copies=copies))
            except NotFoundError:
                continue  # dropped meanwhile
            except LandmarksError as error:  # the others are worth listing
                found.append(unreadable_state(name, error, live=name in live))
        return found

    async def _copies(self, name: str, info: models.CollectionInfo) -> int:
        """Return how many copies of each shard there are; 1 where it does not matter."""
        if acknowledgements_of(info) < 2:
            return 1
        try:
            with qdrant_failures(self._address):
                return copies_of(await self._client.collection_cluster_info(name))
        except UnsupportedError:  # by an engine that has no cluster
            return info.config.params.replication_factor or 1

    async def query(
        self, collection: str, queries: Sequence[Query], timeout_seconds: float | None = None
    ) -> list[list[Hit]]:
        """Run searches in one round trip; one list of hits for each, best first."""
        if not queries:
            return []
        whole = whole_seconds(timeout_seconds)
        batch = q.QueryBatchPoints(
            collection_name=collection,
            query_points=[query_message(collection, query) for query in queries],
            timeout=whole,
        )
        # Through the client's own values, a search would take half as long again.
        with qdrant_failures(self._address, callers_deadline=whole is not None):
            answer = await self._points.QueryBatch(
                batch, timeout=whole or self._timeout_seconds, metadata=self._metadata
            )
        return [hits_of(one.result) for one in answer.result]

    async def payloads(
        self, collection: str, ids: Sequence[UUID]
    ) -> dict[UUID, Mapping[str, object]]:
        """Return the payloads of the points that exist."""
        if not ids:
            return {}
        with qdrant_failures(self._address):
            records = await self._client.retrieve(
                collection, point_ids(ids), with_payload=True, with_vectors=False
            )
        return {point.id: point.payload for point in stored_points(records)}

    async def vectors(self, collection: str, ids: Sequence[UUID]) -> dict[UUID, FloatVector]:
        """Return the vectors of the points that exist: (dimension,) float32, unit length."""
        if not ids:
            return {}
        with qdrant_failures(self._address):
            records = await self._client.retrieve(
                collection, point_ids(ids), with_payload=False, with_vectors=True
            )
        return vectors(records)

    async def point(self, collection: str, point: UUID) -> StoredPoint:
        """Return one point; raises NotFoundError."""
        with qdrant_failures(self._address):
            records = await self._client.retrieve(
                collection, point_ids([point]), with_payload=True, with_vectors=False
            )
        found = stored_points(records)
        if not found:
            raise NotFoundError(f"there is no point {point} in {collection}")
        return found[0]

    async def count(self, collection: str, conditions: Filter = EVERYTHING) -> int:
        """Return how many photos' points pass a filter."""
        with qdrant_failures(self._address):
            counts = [
                (await self._client.count(collection, one, exact=True)).count
                for one in counted(conditions)
            ]
        return counts[0] - sum(counts[1:])

    async def facet(
        self, collection: str, field: str, conditions: Filter = EVERYTHING, limit: int = 1000
    ) -> list[FacetCount]:
        """Return the values of an indexed field and how many points have each, most first."""
        with qdrant_failures(self._address):
            response = await self._client.facet(
                collection, field, to_qdrant(conditions), limit=limit, exact=True
            )
        return facet_counts(response)
