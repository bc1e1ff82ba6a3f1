"""Reads of the stand-in: from one copy of each shard, or from several that must agree."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.protobuf.message import Message
from qdrant_client import grpc as q

from tests.support.qdrant_cluster import merge
from tests.support.qdrant_cluster.layout import Collection, Initializing, Shard
from tests.support.qdrant_cluster.peers import Node, Peers
from tests.support.qdrant_cluster.refusal import RefusalError, failed_reads, internal

READS: dict[str, type[Message]] = {
    "Get": q.GetPoints,
    "Scroll": q.ScrollPoints,
    "Count": q.CountPoints,
    "Facet": q.FacetCounts,
    "Query": q.QueryPoints,
    "QueryBatch": q.QueryBatchPoints,
}
_ANSWERS: dict[str, type[Message]] = {
    "Get": q.GetResponse,
    "Scroll": q.ScrollResponse,
    "Count": q.CountResponse,
    "Facet": q.FacetResponse,
    "QueryBatch": q.QueryBatchResponse,
}
_All, _Majority, _Quorum = (
    q.ReadConsistencyType.All,
    q.ReadConsistencyType.Majority,
    q.ReadConsistencyType.Quorum,
)


class Reads:
    """Reads points, asked at any of the nodes."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def read(self, node: Node, collection: Collection, method: str, request: Any) -> Any:
        """Carry out a read on all shards, and merge what they answer; raises RefusalError."""
        match method:
            case "Get":
                return await self._get(node, collection, request)
            case "Query":
                batch = q.QueryBatchPoints(query_points=[request])
                if request.HasField("read_consistency"):
                    batch.read_consistency.CopyFrom(request.read_consistency)
                answer = await self._query_batch(node, collection, batch)
                return q.QueryResponse(result=answer.result[0].result)
            case "QueryBatch":
                return await self._query_batch(node, collection, request)
            case "Scroll":
                more = q.ScrollPoints()
                more.CopyFrom(request)
                limit = request.limit if request.HasField("limit") else 10
                more.limit = limit + 1  # the first of the next page
                return merge.scrolled(await self._all(node, collection, method, more), limit)
            case "Count":
                return merge.counted(await self._all(node, collection, method, request))
            case _:
                more = q.FacetCounts()
                more.CopyFrom(request)
                more.limit = 100_000  # what is most frequent in all need not be so in each
                limit = request.limit or 10
                return merge.facets(await self._all(node, collection, method, more), limit)

    async def info(self, node: Node, collection: Collection) -> q.GetCollectionInfoResponse:
        """Return what is known of a collection; its points are those of one copy of each shard."""

        async def of(shard: Shard) -> q.GetCollectionInfoResponse:
            asked = q.GetCollectionInfoRequest(collection_name=shard.backend_name)
            path, request = "/qdrant.Collections/Get", asked.SerializeToString()
            [answer] = await self._from_copies(node, shard, path, request, None)
            return q.GetCollectionInfoResponse.FromString(answer)

        found = await asyncio.gather(*(of(shard) for shard in collection.shards))
        return merge.infos([one.result for one in found], collection.config)

    async def _get(self, node: Node, collection: Collection, request: q.GetPoints) -> q.GetResponse:
        # Of every shard, as a real one does, though an id says which shard has it.
        answers = await self._all(node, collection, "Get", request)
        found = {merge.id_key(one.id): one for answer in answers for one in answer.result}
        wanted = dict.fromkeys(map(merge.id_key, request.ids))
        return q.GetResponse(result=[found[key] for key in wanted if key in found])

    async def _query_batch(
        self, node: Node, collection: Collection, batch: q.QueryBatchPoints
    ) -> q.QueryBatchResponse:
        asked = q.QueryBatchPoints()
        asked.CopyFrom(batch)
        for query in asked.query_points:
            query.collection_name = ""
            query.ClearField("read_consistency")
            await self._resolve_id(node, collection, query)
            query.limit = (query.limit if query.HasField("limit") else 10) + query.offset
            query.ClearField("offset")
        answers = await self._all(node, collection, "QueryBatch", asked)
        merged = q.QueryBatchResponse()
        for number, query in enumerate(batch.query_points):
            limit = query.limit if query.HasField("limit") else 10
            hits = [answer.result[number].result for answer in answers]
            merged.result.add(result=merge.best(hits, query.offset, limit))
        return merged

    async def _resolve_id(self, node: Node, collection: Collection, query: q.QueryPoints) -> None:
        """Put the vector of a point in the place of its id, and leave that point out."""
        if not query.query.nearest.HasField("id"):
            return
        one = q.PointId()
        one.CopyFrom(query.query.nearest.id)
        asked = q.GetPoints(ids=[one], with_vectors=q.WithVectorsSelector(enable=True))
        found = (await self._get(node, collection, asked)).result
        if not found or not found[0].vectors.HasField("vector"):
            name = one.uuid or one.num
            raise RefusalError(
                grpc.StatusCode.NOT_FOUND, f"Not found: No point with id {name} found"
            )
        query.query.nearest.dense.data.extend(merge.numbers(found[0].vectors))
        query.filter.must_not.add(has_id=q.HasIdCondition(has_id=[one]))

    async def _all(
        self, node: Node, collection: Collection, method: str, request: Any
    ) -> list[Any]:
        """Carry out a read on all shards at once, and return what each answers."""
        consistency = request.read_consistency if request.HasField("read_consistency") else None

        async def of(shard: Shard) -> Any:
            sent = type(request)()
            sent.CopyFrom(request)
            sent.ClearField("read_consistency")
            sent.collection_name = shard.backend_name
            path, encoded = f"/qdrant.Points/{method}", sent.SerializeToString()
            answers = await self._from_copies(node, shard, path, encoded, consistency)
            read = [_ANSWERS[method].FromString(one) for one in answers]
            if len(read) == 1:
                return read[0]
            return merge.agreed(read, majority=consistency.type == _Majority)

        return await asyncio.gather(*(of(shard) for shard in collection.shards))

    async def _from_copies(
        self, node: Node, shard: Shard, path: str, request: bytes, consistency: Any
    ) -> list[bytes]:
        """Read as many copies as must agree; a copy that cannot be read is passed over."""
        needed = 1 if consistency is None else _needed(consistency, len(shard.copies))
        coming = sum(state == Initializing for state in shard.copies.values())
        readable = [one for one in self._peers.in_order_for(node) if shard.active(one.number)]
        if consistency is not None:
            if len(readable) + coming < needed:
                raise internal(
                    f"The replica set for shard {shard.number} on peer {node.peer_id} does not have"
                    " enough active replicas"
                )
            needed = max(min(needed, len(readable)), 1)
        answers: list[bytes] = []
        errors: list[RefusalError] = []
        for place in readable:
            try:
                answers.append(await self._peers.call(node, place, path, request))
            except RefusalError as error:
                if not error.transient:
                    raise
                errors.append(error)
            if len(answers) == needed:
                return answers
        raise failed_reads(errors, len(answers) + len(errors))


def _needed(consistency: q.ReadConsistency, copies: int) -> int:
    """Return how many copies must answer; a majority needs all answers to be found."""
    if consistency.HasField("factor"):
        return min(max(consistency.factor, 1), copies)
    return copies // 2 + 1 if consistency.type == _Quorum else copies
