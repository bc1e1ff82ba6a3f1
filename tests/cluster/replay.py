"""The recorded steps, taken again: what is asked of a cluster, and what it answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as q

from tests.support.qdrant_cluster.clusters import NODES, Cluster
from tests.support.qdrant_cluster.layout import shard_number

SHARDS = 6
DIMENSION = 8
NAME, NEW_NAME = "c", "d"
_ALL, _MAJORITY = models.ReadConsistencyType.ALL, models.ReadConsistencyType.MAJORITY

# How many points of each kind every shard has. What a copy lacks in the end depends on where points
# are; with these the copies of the stand-in differ by as many as those of the recorded cluster did.
_KEPT = (80,) * SHARDS
_DELETED_BY_ID = (9, 11, 9, 10, 12, 9)
_DELETED_BY_FILTER = (9, 12, 9, 10, 11, 9)
_ADDED = (6, 10, 13, 7, 11, 13)

Observed = dict[str, Any]


@dataclass(frozen=True)
class Points:
    """The ids of the points that steps are about."""

    kept: list[int]
    by_id: list[int]
    by_filter: list[int]
    added: list[int]

    @property
    def first(self) -> list[int]:
        return [*self.kept, *self.by_id, *self.by_filter]


def chosen_points() -> Points:
    """Choose ids, so that each shard of the stand-in has the number of each kind."""
    unused = {shard: _numbers_in(shard) for shard in range(SHARDS)}

    def take(numbers: tuple[int, ...]) -> list[int]:
        return [next(unused[shard]) for shard, number in enumerate(numbers) for _ in range(number)]

    return Points(take(_KEPT), take(_DELETED_BY_ID), take(_DELETED_BY_FILTER), take(_ADDED))


def _numbers_in(shard: int) -> Iterator[int]:
    """Yield the numbers that are ids of points in a shard of the stand-in."""
    return (one for one in count(1) if shard_number(q.PointId(num=one), SHARDS) == shard)


class Replay:
    """Takes the steps on a cluster whose three nodes run and that has no collection."""

    def __init__(self, cluster: Cluster, copies: int, acknowledgements: int) -> None:
        self._cluster = cluster
        self._layout = {
            "shard_number": SHARDS,
            "replication_factor": copies,
            "write_consistency_factor": acknowledgements,
        }
        self._points = chosen_points()
        self._vectors = random.Random(1)

    def steps(self) -> Iterator[tuple[str, Observed]]:
        """Yield the name of each step and what came of it."""
        with closing(self._cluster.client(1)) as client:
            self._create(client, NAME)
            client.create_payload_index(NAME, "source", models.PayloadSchemaType.KEYWORD)
            client.upsert(NAME, self._structs(self._points.first), wait=True)
            yield "count on each node: all nodes up", self._counts()
            self._cluster.kill(3)
            yield from self._without_node_3(client)
            self._cluster.start(3)
            self._cluster.await_whole()
            yield "count on each node: node 3 back", self._counts()
            yield "ids that a scroll through each node gives", self._scrolls()
            for node in (2, 3):
                self._cluster.kill(node)
            for name, call in self._with_node_1_alone(client).items():
                yield f"nodes 2 and 3 away: {name}", observed(call)
            self._cluster.kill(1)
            yield (
                "the node that is asked is away: query",
                observed(lambda: len(client.query_points(NAME, self._vector()).points)),
            )

    def _without_node_3(self, client: QdrantClient) -> Iterator[tuple[str, Observed]]:
        first, added = self._points.first, self._points.added

        def retrieved(ids: list[int], consistency: Any = None) -> Observed:
            return observed(
                lambda: len(client.retrieve(NAME, ids, consistency=consistency, with_payload=False))
            )

        yield (
            "node 3 killed: retrieve 600 ids with consistency all, at once",
            retrieved(first, _ALL),
        )
        yield "retrieve 600 ids with majority", retrieved(first, _MAJORITY)
        yield "retrieve 600 ids", retrieved(first)
        structs = self._structs(added)
        yield "upsert 60 new points", written(lambda: client.upsert(NAME, structs, wait=True))
        yield "how many of the 60 can be read", retrieved(added)
        yield "the same with consistency all", retrieved(added, _ALL)
        yield "upsert the 60 again", written(lambda: client.upsert(NAME, structs, wait=True))
        by_id = models.PointIdsList(points=list(self._points.by_id))
        yield "delete 60 old points by ids", written(lambda: client.delete(NAME, by_id, wait=True))
        yield "how many of these can still be read", retrieved(self._points.by_id)
        kept = self._points.kept[:: len(self._points.kept) // 60]
        yield (
            "set payload of 60 by ids",
            written(lambda: client.set_payload(NAME, {"seen": True}, kept, wait=True)),
        )
        chosen = models.FilterSelector(filter=_of_group("filtered"))
        yield (
            "delete by a filter that matches 60",
            written(lambda: client.delete(NAME, chosen, wait=True)),
        )
        yield "query, limit 10", self._queried(client)
        yield "query with consistency all", self._queried(client, consistency=_ALL)
        yield (
            "create a collection of the same layout",
            observed(lambda: self._create(client, NEW_NAME)),
        )
        upserted = written(lambda: client.upsert(NEW_NAME, structs, wait=True))
        yield "its first upsert", {**upserted, "states": self._cluster.states(NEW_NAME, 1)}
        yield (
            "create a payload index",
            written(lambda: client.create_payload_index(NEW_NAME, "source", "keyword", wait=True)),
        )
        yield "make an alias", observed(lambda: self._alias(client, "first"))
        yield "drop the new collection", observed(lambda: client.delete_collection(NEW_NAME))
        yield "count on each node: node 3 away", self._counts()

    def _with_node_1_alone(self, client: QdrantClient) -> dict[str, Callable[[], object]]:
        some = self._points.kept[0]
        structs = self._structs(self._points.added)
        return {
            "list collections": lambda: [one.name for one in client.get_collections().collections],
            "get collection": lambda: client.get_collection(NAME).points_count,
            "count": lambda: client.count(NAME, exact=True).count,
            "query": lambda: len(client.query_points(NAME, self._vector(), limit=10).points),
            "retrieve": lambda: len(client.retrieve(NAME, [some])),
            "scroll": lambda: len(client.scroll(NAME, limit=5)[0]),
            "upsert": lambda: client.upsert(NAME, structs, wait=True).status.value,
            "facet": lambda: len(client.facet(NAME, "source").hits),
            "alias": lambda: self._alias(client, "second"),
        }

    def _create(self, client: QdrantClient, name: str) -> bool:
        vectors = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
        return client.create_collection(name, vectors_config=vectors, **self._layout)

    def _alias(self, client: QdrantClient, alias: str) -> bool:
        creation = models.CreateAlias(collection_name=NAME, alias_name=alias)
        change = [models.CreateAliasOperation(create_alias=creation)]
        return client.update_collection_aliases(change)

    def _queried(self, client: QdrantClient, **options: Any) -> Observed:
        return observed(
            lambda: len(client.query_points(NAME, self._vector(), limit=10, **options).points)
        )

    def _counts(self) -> Observed:
        """Count the points at each node, and the states that each sees."""
        found: Observed = {}
        for node in NODES:
            with closing(self._cluster.client(node)) as client:
                found[f"node{node}"] = observed(
                    lambda client=client: client.count(NAME, exact=True).count
                )
        found["states"] = [self._cluster.states(NAME, node) for node in NODES]
        return found

    def _scrolls(self) -> Observed:
        """Return how many ids each node gives; how many deleted and how many new ones."""
        found: dict[str, list[int]] = {"ids": [], "deleted": [], "new": []}
        gone, new = {*self._points.by_id, *self._points.by_filter}, {*self._points.added}
        for node in NODES:
            with closing(self._cluster.client(node)) as client:
                ids = {one.id for one in client.scroll(NAME, limit=1000, with_payload=False)[0]}
            found["ids"].append(len(ids))
            found["deleted"].append(len(ids & gone))
            found["new"].append(len(ids & new))
        return found

    def _vector(self) -> list[float]:
        return [self._vectors.gauss(0, 1) for _ in range(DIMENSION)]

    def _structs(self, ids: list[int]) -> list[models.PointStruct]:
        filtered = {*self._points.by_filter}
        return [
            models.PointStruct(
                id=one,
                vector=self._vector(),
                payload={"source": "s", "group": "filtered" if one in filtered else "others"},
            )
            for one in ids
        ]


def observed(call: Callable[[], object]) -> Observed:
    """Return what a call answers, or how it fails."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return {"code": error.code().name, "details": error.details()}
    return {"code": "OK", "answer": answer}


def written(call: Callable[[], models.UpdateResult]) -> Observed:
    """Return the status of a write, or how it fails."""
    return observed(lambda: call().status.value)


def _of_group(group: str) -> models.Filter:
    match = models.MatchValue(value=group)
    return models.Filter(must=[models.FieldCondition(key="group", match=match)])
