"""The nodes of the stand-in, and calls from one to another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.support.qdrant_cluster.gate import Gate
from tests.support.qdrant_cluster.refusal import RefusalError, refused_connection, silent_peer

_PEER_IDS = 7_000_000_000_000_000


@dataclass
class Node:
    """A node: an embedded server that only the stand-in reaches, and a port for everybody."""

    number: int
    gate: Gate
    backend: grpc.aio.Channel
    up: bool = True
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    _failed_before: bool = False

    @property
    def peer_id(self) -> int:
        return _PEER_IDS + self.number

    @property
    def reachable(self) -> bool:
        return self.up and self.awake.is_set()

    async def direct(self, path: str, request: bytes) -> bytes:
        """Call the server behind, whatever the node's state."""
        call: Any = self.backend.unary_unary(path)
        try:
            answer: bytes = await call(request)
        except grpc.aio.AioRpcError as error:
            raise RefusalError(error.code(), error.details() or "") from error
        return answer

    def away(self) -> RefusalError:
        """Return the error of a call to a node whose port is closed.

        The words take turns, as they do where a connection is kept for a while.
        """
        self._failed_before = not self._failed_before
        return refused_connection(f"127.0.0.1:{self.gate.port}", known=self._failed_before)


class Peers:
    """All nodes. `silence_seconds`: how long a caller waits for a node that answers nothing."""

    def __init__(self, nodes: list[Node], silence_seconds: float) -> None:
        self.nodes = {node.number: node for node in nodes}
        self._silence_seconds = silence_seconds

    @property
    def have_majority(self) -> bool:
        return 2 * sum(node.reachable for node in self.nodes.values()) > len(self.nodes)

    async def call(self, source: Node, target: Node, path: str, request: bytes) -> bytes:
        """Call one node from another, or from itself; raises RefusalError.

        A node that ends meanwhile may have done what was asked.
        """
        await source.awake.wait()
        if not source.up:
            raise source.away()  # nobody hears it
        if target is source:
            return await target.direct(path, request)
        if not target.up:
            raise target.away()
        try:
            await asyncio.wait_for(target.awake.wait(), self._silence_seconds)
        except TimeoutError:
            raise silent_peer() from None
        answer = await target.direct(path, request)
        if not target.up:
            raise target.away()
        return answer

    def in_order_for(self, node: Node) -> list[Node]:
        """Return the nodes that a read from `node` asks, one after another.

        Its own copy comes first. A real one asks others two at once, in any order; here the next
        node comes first, or one that answers.
        """
        count = len(self.nodes)
        ring = [self.nodes[(node.number - 1 + step) % count + 1] for step in range(count)]
        return [ring[0], *sorted(ring[1:], key=lambda one: one.up and not one.awake.is_set())]
