"""Two embedded servers as the two copies of each shard of a cluster, behind one address.

As in a cluster, each copy evaluates a write by itself, and a read asks one of them. Of a write that
a copy misses, the caller gets the error that a real cluster gives, and nothing corrects the copy.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# Recorded from Qdrant 1.18.3, with two copies and two acknowledgements, while a node was away.
_MISSED = (
    "Service internal error: 4 out of 6 shards failed to apply operation. First error captured:"
    " Service internal error: Tonic status error: code: 'The service is currently unavailable',"
    ' message: "Failed to connect to http://<address>/, error: transport error"'
)
_POINT_READS = frozenset(
    {"Get", "Scroll", "Count", "Facet", "Search", "Query", "QueryBatch", "SearchBatch"}
)
_LOST = 0.1
_NEVER_LOST = frozenset({"CreateFieldIndex", "DeleteFieldIndex"})
_COLLECTION_WRITES = frozenset({"Create", "Update", "Delete", "UpdateAliases"})


@dataclass
class TwoCopies:
    """What the copies do. `reads_from` is the copy that is asked, 0 or 1."""

    channels: list[grpc.Channel]
    reads_from: int = 0
    lost: bool = False
    """Whether a write was lost since the last call of `lose`."""
    _chance: random.Random | None = None
    _countdown: int = -1
    _only: int = 0
    _lasting: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose(self, *, after: int, only: int, lasting: bool = False) -> None:
        """Let one write, after some others, reach only one of the copies.

        `lasting`: and all writes that follow, until `heal`.
        """
        with self._lock:
            self._countdown, self._only, self._lasting, self.lost = after, only, lasting, False

    def lose_sometimes(self, chance: random.Random) -> None:
        """Let one write in ten reach only one of the copies, until `heal`; reads ask any."""
        self._chance = chance

    def heal(self) -> None:
        with self._lock:
            self._countdown, self._chance = -1, None

    def call(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        service, name = method.split("/")[1:]
        collections = service == "qdrant.Collections" and name in _COLLECTION_WRITES
        points = service == "qdrant.Points" and name not in _POINT_READS
        if not collections and not points:
            copy = self._chance.randint(0, 1) if self._chance else self.reads_from
            return self._forward(copy, method, request, context)
        with self._lock:  # writes come in the same order to both
            if points and name not in _NEVER_LOST and self._is_lost():
                self._forward(self._only, method, request, context)
                context.abort(grpc.StatusCode.INTERNAL, _MISSED)
            self._forward(1, method, request, context)
            return self._forward(0, method, request, context)

    def _is_lost(self) -> bool:
        if self._chance and self._chance.random() < _LOST:
            self._countdown, self._only = 0, self._chance.randint(0, 1)
        missed = self._countdown == 0
        self.lost |= missed
        if self._countdown > 0 or (missed and not self._lasting):
            self._countdown -= 1
        return missed

    def _forward(
        self, copy: int, method: str, request: bytes, context: grpc.ServicerContext
    ) -> bytes:
        try:
            return self.channels[copy].unary_unary(method)(
                request, timeout=context.time_remaining()
            )
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
            raise AssertionError from error


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, copies: TwoCopies) -> None:
        self._copies = copies

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            return self._copies.call(method, request, context)

        return grpc.unary_unary_rpc_method_handler(handle)


@contextmanager
def two_copies(port: int, ports: tuple[int, int]) -> Iterator[TwoCopies]:
    """Serve the two servers at these ports as one at `port`."""
    size = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    channels = [grpc.insecure_channel(f"127.0.0.1:{one}", options=size) for one in ports]
    for channel in channels:
        request = health_pb2.HealthCheckRequest(service="qdrant.Points")
        health_pb2_grpc.HealthStub(channel).Check(request, wait_for_ready=True, timeout=60)
    copies = TwoCopies(channels)
    with ThreadPoolExecutor(16) as threads:
        server = grpc.server(threads, options=[("grpc.so_reuseport", 0), *size])
        server.add_generic_rpc_handlers([_Handler(copies)])
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield copies
        finally:
            server.stop(1).wait()
            for channel in channels:
                channel.close()
