"""Runs the stand-in: `python -m tests.support.qdrant_cluster SETTINGS`, which are JSON.

`ports` are those of the nodes and `backends` those of their embedded servers. It reads one command
a line, as `kill 3`, answers it by a line, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from landmarks.rpc.channel import MAX_MESSAGE_BYTES
from tests.support.qdrant_cluster.collections import Collections
from tests.support.qdrant_cluster.front import Front
from tests.support.qdrant_cluster.gate import Gate
from tests.support.qdrant_cluster.layout import Catalog
from tests.support.qdrant_cluster.peers import Node, Peers
from tests.support.qdrant_cluster.reads import Reads
from tests.support.qdrant_cluster.recovery import Recovery
from tests.support.qdrant_cluster.writes import Writes

_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
]


@dataclass(frozen=True)
class Times:
    """How long a real cluster takes for what tests need not wait for, in seconds."""

    silence: float = 3.0
    consensus: float = 10.0
    create: float = 10.0
    deactivation: float = 30.0
    recovery: float = 9.0


async def serve(ports: Sequence[int], backends: Sequence[int], times: Times) -> None:
    """Serve until standard input ends."""
    servers = [grpc.aio.server(options=_OPTIONS) for _ in ports]
    nodes = []
    for number, (port, backend, server) in enumerate(zip(ports, backends, servers, strict=True), 1):
        inner = server.add_insecure_port("127.0.0.1:0")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{backend}", options=_OPTIONS)
        node = Node(number, Gate(port, inner), channel)
        node.awake.set()
        nodes.append(node)
    catalog, peers = Catalog(), Peers(nodes, times.silence)
    writes, reads = Writes(peers, times.deactivation), Reads(peers)
    collections = Collections(catalog, peers, writes, times.consensus, times.create)
    for node, server in zip(nodes, servers, strict=True):
        front = Front(node, catalog, collections, reads, writes)
        server.add_generic_rpc_handlers((front,))
        await server.start()
        await node.gate.open()
    recovering = asyncio.create_task(Recovery(catalog, peers, times.recovery).run())
    _say("ready")
    await _obey(peers, recovering)
    recovering.cancel()
    for server in servers:
        await server.stop(0)


async def _obey(peers: Peers, recovering: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, number = line.split()
        node = peers.nodes[int(number)]
        match command:
            case "kill":
                node.up = False
                await node.gate.close()
                node.awake.set()
                node.gate.speak()
            case "start":
                node.up = True
                await node.gate.open()
            case "freeze":
                node.awake.clear()
                node.gate.silence()
            case "thaw":
                node.awake.set()
                node.gate.speak()
        if recovering.done():
            recovering.result()  # say what it failed with
        _say("done")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(serve(given["ports"], given["backends"], Times(**given["times"])))
