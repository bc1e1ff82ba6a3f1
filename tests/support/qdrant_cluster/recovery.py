"""What makes Dead copies whole once their node is back, and completes what it has missed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from qdrant_client import grpc as q

from tests.support.qdrant_cluster.layout import Active, Catalog, Collection, Dead, Shard
from tests.support.qdrant_cluster.merge import id_key, numbers
from tests.support.qdrant_cluster.peers import Node, Peers

_PAGE = 500
_LOOK_SECONDS = 0.05


class Recovery:
    """Recovers copies `after_seconds` it could first have done so."""

    def __init__(self, catalog: Catalog, peers: Peers, after_seconds: float) -> None:
        self._catalog = catalog
        self._peers = peers
        self._after_seconds = after_seconds
        self._since: dict[tuple[str, int], float] = {}

    async def run(self) -> None:
        """Recover copies for as long as it runs."""
        while True:
            for collection, shard in self._catalog.shards():
                for place, state in list(shard.copies.items()):
                    if state != Active:
                        await self._consider(collection, shard, place)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _consider(self, collection: Collection, shard: Shard, place: int) -> None:
        node = self._peers.nodes[place]
        sources = [other for other in self._peers.nodes.values() if shard.active(other.number)]
        source = next((other for other in sources if other.reachable), None)
        key = (shard.backend_name, place)
        if source is None or not node.reachable or not self._peers.have_majority:
            self._since.pop(key, None)
            return
        if time.monotonic() - self._since.setdefault(key, time.monotonic()) < self._after_seconds:
            return
        async with shard.writing:
            if self._catalog.collections.get(collection.name) is not collection:
                return  # dropped meanwhile
            for index in collection.indexes.values():
                await self._call(node, shard, "CreateFieldIndex", index)
            if shard.copies[place] == Dead:
                await self._copy(shard, source, node)
            # One that its node has only now made is not compared with the others.
            shard.copies[place] = Active
        self._since.pop(key, None)

    async def _copy(self, shard: Shard, source: Node, target: Node) -> None:
        """Give a copy the points of another, and take away those that the other does not have."""
        theirs = {id_key(one.id): one for one in await self._points(shard, source, vectors=True)}
        ours = await self._points(shard, target, vectors=False)
        gone = [one.id for one in ours if id_key(one.id) not in theirs]
        if gone:
            chosen = q.PointsSelector(points=q.PointsIdsList(ids=gone))
            await self._call(target, shard, "Delete", q.DeletePoints(points=chosen, wait=True))
        points = [_as_given(one) for one in theirs.values()]
        for start in range(0, len(points), _PAGE):
            some = q.UpsertPoints(points=points[start : start + _PAGE], wait=True)
            await self._call(target, shard, "Upsert", some)

    async def _points(self, shard: Shard, node: Node, *, vectors: bool) -> list[Any]:
        found: list[Any] = []
        asked = q.ScrollPoints(
            limit=_PAGE,
            with_payload=q.WithPayloadSelector(enable=vectors),
            with_vectors=q.WithVectorsSelector(enable=vectors),
        )
        while True:
            answer = q.ScrollResponse.FromString(await self._call(node, shard, "Scroll", asked))
            found.extend(answer.result)
            if not answer.HasField("next_page_offset"):
                return found
            asked.offset.CopyFrom(answer.next_page_offset)

    async def _call(self, node: Node, shard: Shard, method: str, message: Any) -> bytes:
        sent = type(message)()
        sent.CopyFrom(message)
        sent.collection_name = shard.backend_name
        return await node.direct(f"/qdrant.Points/{method}", sent.SerializeToString())


def _as_given(point: Any) -> q.PointStruct:
    """Return a point as it was read in the form in which it is written."""
    written = q.PointStruct(id=point.id, payload=point.payload)
    if point.vectors.HasField("vector"):
        written.vectors.vector.dense.data.extend(numbers(point.vectors))
    else:
        written.vectors.vectors.SetInParent()  # it has none, as marks do
    return written
