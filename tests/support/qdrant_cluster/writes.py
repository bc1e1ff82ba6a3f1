"""Writes of the stand-in: to all copies, and counted as a real cluster counts them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from qdrant_client import grpc as q

from tests.support.qdrant_cluster.layout import Active, Collection, Dead, Shard
from tests.support.qdrant_cluster.peers import Node, Peers
from tests.support.qdrant_cluster.refusal import RefusalError, failed_shards, internal
from tests.support.qdrant_cluster.split import WRITES, by_shard, single_writes


class Writes:
    """Writes points. `deactivation_seconds`: how long it waits for a copy to be marked Dead."""

    def __init__(self, peers: Peers, deactivation_seconds: float) -> None:
        self._peers = peers
        self._deactivation_seconds = deactivation_seconds

    async def batch(self, node: Node, collection: Collection, batch: q.UpdateBatchPoints) -> Any:
        """Carry out the writes of a batch, one after another, up to the first that fails."""
        answer = q.UpdateBatchResponse()
        for method, request in single_writes(batch):
            written = await self.one(node, collection, method, request)
            answer.result.append(written.result)
        return answer

    async def one(self, node: Node, collection: Collection, method: str, request: Any) -> Any:
        """Carry out a write on all of its shards at once; raises RefusalError."""
        parts = by_shard(collection, request)
        if not parts:
            raise RefusalError(
                grpc.StatusCode.INVALID_ARGUMENT, "Bad request: Empty update request"
            )
        answers: list[bytes] = []
        errors: list[RefusalError] = []  # in the order of time

        async def write(shard: Shard, part: Any) -> None:
            try:
                answers.append(await self._write_shard(node, collection, shard, method, part))
            except RefusalError as error:
                errors.append(error)

        await asyncio.gather(
            *(write(collection.shards[number], part) for number, part in parts.items())
        )
        if errors:
            raise failed_shards(errors[0], len(errors), len(parts))
        return q.PointsOperationResponse.FromString(answers[0])

    async def _write_shard(
        self, node: Node, collection: Collection, shard: Shard, method: str, part: Any
    ) -> bytes:
        sent = WRITES[method]()
        sent.CopyFrom(part)
        sent.collection_name = shard.backend_name  # type: ignore[attr-defined]
        request = sent.SerializeToString()
        async with shard.writing:  # else copies could see two writes in different orders
            places = [place for place, state in shard.copies.items() if state != Dead]
            if not places:
                raise internal(
                    f"The replica set for shard {shard.number} on peer {node.peer_id} has no active"
                    " replica"
                )
            found = await asyncio.gather(
                *(self._write_copy(node, place, method, request) for place in places)
            )
            results = dict(zip(places, found, strict=True))
            return await self._counted(collection, shard, results)

    async def _write_copy(
        self, node: Node, place: int, method: str, request: bytes
    ) -> bytes | RefusalError:
        try:
            return await self._peers.call(
                node, self._peers.nodes[place], f"/qdrant.Points/{method}", request
            )
        except RefusalError as error:
            return error

    async def _counted(
        self, collection: Collection, shard: Shard, results: dict[int, bytes | RefusalError]
    ) -> bytes:
        """Return the answer if enough copies have acknowledged; those that have not become Dead.

        If too few have, that is an error, and **no copy becomes Dead**: what was written stays.
        """
        answers = {place: one for place, one in results.items() if isinstance(one, bytes)}
        failures = {place: one for place, one in results.items() if isinstance(one, RefusalError)}
        if failures:
            if len(answers) < min(collection.acknowledgements, len(shard.copies)):
                raise next(iter(failures.values()))
            await self._mark_dead(shard, failures)
        if not any(shard.active(place) for place in answers):
            raise internal(
                "Failed to apply operation to at least one `Active` replica. Consistency of this"
                f" update is not guaranteed. Please retry. {self._first(failures)}"
            )
        return next(iter(answers.values()))

    async def _mark_dead(self, shard: Shard, failures: dict[int, RefusalError]) -> None:
        if not self._peers.have_majority:
            await asyncio.sleep(self._deactivation_seconds)
            raise internal(
                f"Some replica of shard {shard.number} failed to apply operation and deactivation"
                " timed out after 30s. Consistency of this update is not guaranteed. Please retry."
                f" {self._first(failures)}"
            )
        for place in failures:
            if any(state == Active for other, state in shard.copies.items() if other != place):
                shard.copies[place] = Dead

    def _first(self, failures: dict[int, RefusalError]) -> str:
        for place, error in failures.items():
            return f"Failed peer: {self._peers.nodes[place].peer_id}, error: {error.details}"
        return ""
