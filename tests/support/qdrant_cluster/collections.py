"""Changes of collections and aliases, which a majority of the nodes must agree to."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from qdrant_client import grpc as q

from tests.support.qdrant_cluster.layout import (
    Catalog,
    Collection,
    Initializing,
    change_alias,
    new_collection,
)
from tests.support.qdrant_cluster.peers import Node, Peers
from tests.support.qdrant_cluster.refusal import RefusalError, no_consensus
from tests.support.qdrant_cluster.writes import Writes

# What an embedded server, which holds one copy of one shard, has no use for.
_OF_THE_CLUSTER = (
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "metadata",
    "timeout",
)


class Collections:
    """Lists and changes collections and aliases.

    `consensus_seconds`: how long a change waits for a majority; `create_seconds`: how long a new
    collection waits for nodes that are away.
    """

    def __init__(
        self,
        catalog: Catalog,
        peers: Peers,
        writes: Writes,
        consensus_seconds: float,
        create_seconds: float,
    ) -> None:
        self._catalog = catalog
        self._peers = peers
        self._writes = writes
        self._consensus_seconds = consensus_seconds
        self._create_seconds = create_seconds
        self._changing = asyncio.Lock()

    async def create(self, node: Node, config: q.CreateCollection) -> Any:
        name = config.collection_name
        await self._agree(node)
        async with self._changing:
            if name in self._catalog.collections:
                raise RefusalError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"Wrong input: Collection `{name}` already exists!",
                )
            nodes = self._peers.nodes
            reachable = {one.number for one in nodes.values() if one.reachable}
            made = new_collection(config, len(nodes), reachable)
            # Those of nodes that are away too: nobody looks before they are back.
            copy = q.CreateCollection()
            copy.CopyFrom(config)
            for field in _OF_THE_CLUSTER:
                copy.ClearField(field)
            await asyncio.gather(
                *(
                    self._create_copy(nodes[place], copy, shard.backend_name)
                    for shard in made.shards
                    for place in shard.copies
                )
            )
            self._catalog.collections[name] = made
        if any(Initializing in shard.copies.values() for shard in made.shards):
            await asyncio.sleep(self._create_seconds)
        return q.CollectionOperationResponse(result=True)

    async def _create_copy(self, node: Node, config: q.CreateCollection, name: str) -> None:
        own = q.CreateCollection()
        own.CopyFrom(config)
        own.collection_name = name
        await node.direct("/qdrant.Collections/Create", own.SerializeToString())

    async def update(self, node: Node, change: q.UpdateCollection) -> Any:
        await self._agree(node)
        collection = self._catalog.find(change.collection_name)
        for key, value in change.metadata.items():
            collection.config.metadata[key].CopyFrom(value)
        if change.HasField("optimizers_config"):
            for shard in collection.shards:
                own = q.UpdateCollection(
                    collection_name=shard.backend_name, optimizers_config=change.optimizers_config
                )
                for place in shard.copies:
                    await self._peers.nodes[place].direct(
                        "/qdrant.Collections/Update", own.SerializeToString()
                    )
        return q.CollectionOperationResponse(result=True)

    async def delete(self, node: Node, request: q.DeleteCollection) -> Any:
        await self._agree(node)
        async with self._changing:
            gone = self._catalog.collections.pop(request.collection_name, None)
            if gone is None:
                return q.CollectionOperationResponse(result=False)
            for alias, name in list(self._catalog.aliases.items()):
                if name == gone.name:
                    del self._catalog.aliases[alias]
            for shard in gone.shards:
                own = q.DeleteCollection(collection_name=shard.backend_name).SerializeToString()
                async with shard.writing:
                    for place in shard.copies:
                        await self._peers.nodes[place].direct("/qdrant.Collections/Delete", own)
        return q.CollectionOperationResponse(result=True)

    async def change_aliases(self, node: Node, request: q.ChangeAliases) -> Any:
        await self._agree(node)
        for action in request.actions:
            change_alias(self._catalog, action)
        return q.CollectionOperationResponse(result=True)

    async def index(self, node: Node, method: str, request: Any) -> Any:
        """Make or remove a payload index, in all copies that can be reached."""
        await self._agree(node)
        collection = self._catalog.find(request.collection_name)
        if method == "CreateFieldIndex":
            collection.indexes[request.field_name] = request
        else:
            collection.indexes.pop(request.field_name, None)
        return await self._writes.one(node, collection, method, request)

    def list(self) -> Any:
        return q.ListCollectionsResponse(
            collections=[q.CollectionDescription(name=name) for name in self._catalog.collections]
        )

    def exists(self, request: q.CollectionExistsRequest) -> Any:
        name = self._catalog.aliases.get(request.collection_name, request.collection_name)
        found = q.CollectionExists(exists=name in self._catalog.collections)
        return q.CollectionExistsResponse(result=found)

    def aliases(self, of: str = "") -> Any:
        if of:
            self._catalog.find(of)
        return q.ListAliasesResponse(
            aliases=[
                q.AliasDescription(alias_name=alias, collection_name=name)
                for alias, name in self._catalog.aliases.items()
                if of in ("", name)
            ]
        )

    async def cluster_info(self, node: Node, collection: Collection) -> Any:
        """Return the states of all copies, as a node sees them."""
        answer = q.CollectionClusterInfoResponse(
            peer_id=node.peer_id, shard_count=len(collection.shards)
        )
        for shard in collection.shards:
            for place, state in shard.copies.items():
                if place == node.number:
                    asked = q.CountPoints(collection_name=shard.backend_name, exact=True)
                    points = q.CountResponse.FromString(
                        await node.direct("/qdrant.Points/Count", asked.SerializeToString())
                    )
                    answer.local_shards.add(
                        shard_id=shard.number, points_count=points.result.count, state=state
                    )
                else:
                    peer = self._peers.nodes[place].peer_id
                    answer.remote_shards.add(shard_id=shard.number, peer_id=peer, state=state)
        return answer

    async def _agree(self, node: Node) -> None:
        """Wait for a majority; raises RefusalError if there is none in time."""
        await node.awake.wait()
        if not self._peers.have_majority:
            await asyncio.sleep(self._consensus_seconds)
            raise no_consensus()
