"""Stands in front of a Qdrant, passes calls on, and answers some of them as a cluster would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

Rewrite = Callable[[bytes], bytes]


@dataclass
class Failure:
    """How calls of a method fail, but the first `skip`: `after` it was done, or instead of that."""

    details: str
    after: bool = False
    code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    times: int = 1
    skip: int = 0

    def next_fails(self) -> bool:
        """Count a call, and say whether it fails."""
        if self.skip:
            self.skip -= 1
            return False
        if not self.times:
            return False
        self.times -= 1
        return True


@dataclass
class ScriptedQdrant:
    """A server on loopback; methods are named as in `Collections/Create`."""

    port: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)
    # Answers of a method as they were received, and as they are passed on.
    rewritten: dict[str, Rewrite] = field(default_factory=dict)
    # Answers of methods that the Qdrant behind it does not have.
    answers: dict[str, Rewrite] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)


class _PassingOn(grpc.GenericRpcHandler):
    def __init__(self, script: ScriptedQdrant, channel: grpc.Channel) -> None:
        self._script = script
        self._channel = channel

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path = handler_call_details.method
        name = path.removeprefix("/qdrant.")
        send = self._channel.unary_unary(path)

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            self._script.called.append(name)
            failure = self._script.failures.get(name)
            if failure is not None and not failure.next_fails():
                failure = None
            if failure and not failure.after:
                context.abort(failure.code, failure.details)
            if name in self._script.answers:
                return self._script.answers[name](request)
            try:
                answer: bytes = send(request, timeout=context.time_remaining())
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
            if failure:
                context.abort(failure.code, failure.details)
            return self._script.rewritten.get(name, bytes)(answer)

        return grpc.unary_unary_rpc_method_handler(call)


@contextmanager
def scripted_qdrant(port: int) -> Iterator[ScriptedQdrant]:
    """Stand in front of the Qdrant at `port` on loopback."""
    script = ScriptedQdrant()
    with ThreadPoolExecutor(8) as threads, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        server = grpc.server(threads, handlers=[_PassingOn(script, channel)])
        script.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield script
        finally:
            server.stop(None).wait()
