"""The Points service: each request goes to the process of its collection as it came."""

from __future__ import annotations

from qdrant_client import grpc as q

from landmarks.edge_server.engine import Engine
from landmarks.edge_server.services.methods import READS, WRITES
from landmarks.edge_server.services.registration import Handler


class PointsService:
    """Finds the collection of a request and passes it on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handlers(self) -> dict[str, Handler]:
        """Return the methods that are served."""
        return {method: self._passing(method) for method in (*WRITES, *READS)}

    def _passing(self, method: str) -> Handler:
        async def call(request: bytes) -> bytes:
            # In every request the first field is the collection's name; the others are skipped.
            name = q.GetCollectionInfoRequest.FromString(request).collection_name
            return await self._engine.collection(name).call(method, request)

        return call
