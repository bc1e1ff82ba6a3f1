"""A server whose writes reach every node, as a cluster's do: nodes are embedded servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc


@contextmanager
def writes_to_all(ports: Sequence[int]) -> Iterator[int]:
    """Serve Qdrant's protocol: each call is made on every node, and one of the answers given."""
    with ExitStack() as ends:
        channels = [
            ends.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}")) for port in ports
        ]
        server = grpc.server(ends.enter_context(ThreadPoolExecutor(4)))
        server.add_generic_rpc_handlers((_ToAll(channels),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        ends.callback(lambda: server.stop(0).wait())
        yield port


class _ToAll(grpc.GenericRpcHandler):
    def __init__(self, channels: Sequence[grpc.Channel]) -> None:
        self._channels = channels

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            answers = []
            for channel in self._channels:
                try:
                    answers.append(channel.unary_unary(details.method)(request, timeout=60))
                except grpc.RpcError as error:
                    context.abort(error.code(), error.details())
            return answers[-1]

        return grpc.unary_unary_rpc_method_handler(call)
