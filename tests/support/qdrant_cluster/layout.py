"""The collections of the stand-in as all nodes have agreed on them: shards, copies, states."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

import grpc
from qdrant_client import grpc as q

from tests.support.qdrant_cluster.refusal import RefusalError, no_collection

Active, Dead, Initializing = q.ReplicaState.Active, q.ReplicaState.Dead, q.ReplicaState.Initializing


@dataclass
class Shard:
    """A part of a collection's points, and the states of its copies, by the node's number."""

    number: int
    collection: str
    copies: dict[int, int]
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def backend_name(self) -> str:
        """The collection of the embedded servers that holds a copy."""
        return f"{self.collection}~{self.number}"

    def active(self, node: int) -> bool:
        return self.copies.get(node) == Active


@dataclass
class Collection:
    """A collection: its settings, its shards, and the payload indexes that were requested."""

    config: q.CreateCollection
    shards: list[Shard]
    indexes: dict[str, q.CreateFieldIndexCollection] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.config.collection_name

    @property
    def acknowledgements(self) -> int:
        return self.config.write_consistency_factor or 1

    def shard_of(self, point: q.PointId) -> Shard:
        """Return the shard of a point; which one it is depends on its id alone."""
        return self.shards[shard_number(point, len(self.shards))]


@dataclass
class Catalog:
    """All collections, by name, and aliases."""

    collections: dict[str, Collection] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Collection:
        """Return a collection by its name or an alias; raises RefusalError."""
        found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise no_collection(name)
        return found

    def shards(self) -> Iterable[tuple[Collection, Shard]]:
        for collection in list(self.collections.values()):
            for shard in collection.shards:
                yield collection, shard


def shard_number(point: q.PointId, shards: int) -> int:
    """Return the number of a point's shard."""
    whole = UUID(point.uuid).bytes if point.uuid else point.num.to_bytes(8)
    return zlib.crc32(whole) % shards


def new_collection(config: q.CreateCollection, nodes: int, reachable: set[int]) -> Collection:
    """Lay a collection out: copies go round the nodes, at most one of a shard to each.

    Those of nodes that are not `reachable` wait for them.
    """
    count = config.shard_number or nodes
    copies = min(config.replication_factor or 1, nodes)
    shards = []
    for number in range(count):
        places = [(number + nodes - 1 + step) % nodes + 1 for step in range(copies)]
        states = {place: Active if place in reachable else Initializing for place in places}
        shards.append(Shard(number, config.collection_name, states))
    return Collection(config, shards)


def change_alias(catalog: Catalog, action: q.AliasOperations) -> None:
    """Carry out one change of the aliases; raises RefusalError."""
    match action.WhichOneof("action"):
        case "create_alias":
            target = action.create_alias.collection_name
            if target not in catalog.collections:
                raise no_collection(target)
            catalog.aliases[action.create_alias.alias_name] = target
        case "rename_alias":
            old = action.rename_alias.old_alias_name
            if old not in catalog.aliases:
                raise RefusalError(
                    grpc.StatusCode.NOT_FOUND, f"Not found: Alias {old} does not exists!"
                )
            catalog.aliases[action.rename_alias.new_alias_name] = catalog.aliases.pop(old)
        case _:
            catalog.aliases.pop(action.delete_alias.alias_name, None)
