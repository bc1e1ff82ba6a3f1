"""Qdrant's gRPC services as a node of the stand-in serves them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from qdrant_client import grpc as q

from tests.support.qdrant_cluster.collections import Collections
from tests.support.qdrant_cluster.layout import Catalog
from tests.support.qdrant_cluster.peers import Node
from tests.support.qdrant_cluster.reads import READS, Reads
from tests.support.qdrant_cluster.refusal import RefusalError
from tests.support.qdrant_cluster.split import WRITES
from tests.support.qdrant_cluster.writes import Writes

_VERSION = "1.18.3"
_Handler = Callable[[Any], Awaitable[Any]]


class Front(grpc.GenericRpcHandler):
    """Answers the calls that come to one node."""

    def __init__(
        self, node: Node, catalog: Catalog, collections: Collections, reads: Reads, writes: Writes
    ) -> None:
        self._node = node
        self._catalog = catalog
        self._collections = collections
        self._reads = reads
        self._writes = writes
        self._handlers = self._methods()

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        found = self._handlers.get(handler_call_details.method)
        if found is None:
            return None  # UNIMPLEMENTED

        kind, handler = found

        async def call(request: bytes, context: Any) -> bytes:
            started = time.perf_counter()
            try:
                answer = await handler(kind.FromString(request))
            except RefusalError as error:
                await context.abort(error.code, error.details)
            if "time" in answer.DESCRIPTOR.fields_by_name:
                answer.time = time.perf_counter() - started
            encoded: bytes = answer.SerializeToString()
            return encoded

        return grpc.unary_unary_rpc_method_handler(call)

    def _methods(self) -> dict[str, tuple[type[Message], _Handler]]:
        node, changes = self._node, self._collections
        of_collections: dict[str, tuple[type[Message], _Handler]] = {
            "Create": (q.CreateCollection, lambda one: changes.create(node, one)),
            "Update": (q.UpdateCollection, lambda one: changes.update(node, one)),
            "Delete": (q.DeleteCollection, lambda one: changes.delete(node, one)),
            "UpdateAliases": (q.ChangeAliases, lambda one: changes.change_aliases(node, one)),
            "Get": (q.GetCollectionInfoRequest, self._info),
            "CollectionClusterInfo": (q.CollectionClusterInfoRequest, self._cluster_info),
            "List": (q.ListCollectionsRequest, _now(lambda _one: changes.list())),
            "CollectionExists": (q.CollectionExistsRequest, _now(changes.exists)),
            "ListAliases": (q.ListAliasesRequest, _now(lambda _one: changes.aliases())),
            "ListCollectionAliases": (
                q.ListCollectionAliasesRequest,
                _now(lambda one: changes.aliases(one.collection_name)),
            ),
        }
        of_points: dict[str, tuple[type[Message], _Handler]] = {
            **{method: (kind, self._writing(method)) for method, kind in WRITES.items()},
            **{method: (kind, self._reading(method)) for method, kind in READS.items()},
            "UpdateBatch": (q.UpdateBatchPoints, self._update_batch),
        }
        return {
            **{f"/qdrant.Collections/{name}": one for name, one in of_collections.items()},
            **{f"/qdrant.Points/{name}": one for name, one in of_points.items()},
            "/qdrant.Qdrant/HealthCheck": (
                q.HealthCheckRequest,
                _now(lambda _: q.HealthCheckReply(title="stand-in", version=_VERSION)),
            ),
            "/grpc.health.v1.Health/Check": (
                health_pb2.HealthCheckRequest,
                _now(lambda _: health_pb2.HealthCheckResponse(status="SERVING")),
            ),
        }

    def _writing(self, method: str) -> _Handler:
        async def write(request: Any) -> Any:
            if method in ("CreateFieldIndex", "DeleteFieldIndex"):
                return await self._collections.index(self._node, method, request)
            collection = self._catalog.find(request.collection_name)
            return await self._writes.one(self._node, collection, method, request)

        return write

    def _reading(self, method: str) -> _Handler:
        async def read(request: Any) -> Any:
            collection = self._catalog.find(request.collection_name)
            return await self._reads.read(self._node, collection, method, request)

        return read

    async def _update_batch(self, request: q.UpdateBatchPoints) -> Any:
        collection = self._catalog.find(request.collection_name)
        return await self._writes.batch(self._node, collection, request)

    async def _info(self, request: q.GetCollectionInfoRequest) -> Any:
        return await self._reads.info(self._node, self._catalog.find(request.collection_name))

    async def _cluster_info(self, request: q.CollectionClusterInfoRequest) -> Any:
        collection = self._catalog.find(request.collection_name)
        return await self._collections.cluster_info(self._node, collection)


def _now(answer: Callable[[Any], Any]) -> _Handler:
    async def call(request: Any) -> Any:
        return answer(request)

    return call
