"""Who may call what: asked before a call's message is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import grpc
import structlog

from landmarks.errors import LandmarksError
from landmarks.grpc_channel import KEY_HEADER

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Count: TypeAlias = "Callable[[object, _Context], None]"
_CLIENT = "client"


class Gate(Protocol):
    """Decides about calls."""

    def admit(self, method: str, sent: Mapping[str, str | bytes]) -> str:
        """Return the caller's name, empty where none is asked for; `sent` is the metadata.

        `method` is as in /package.Service/Method. Raises UnauthenticatedError or ForbiddenError.
        """

    def count(self, method: str, request: object, client: str, peer: str) -> None:
        """Count an admitted call of `client`, from `peer`; raises RateLimitedError."""


class AdmissionInterceptor(grpc.aio.ServerInterceptor):
    """Asks a gate about each call. Log lines of the call have the caller's name as `client`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Return the method's handler where the caller may call it, else one that refuses."""
        method = handler_call_details.method
        sent = dict(handler_call_details.invocation_metadata or ())
        try:
            client = self._gate.admit(method, sent)
        except LandmarksError as error:
            return _refusing(error)
        handler = await continuation(handler_call_details)
        if handler is None:
            return None

        def count(request: object, context: _Context) -> None:
            if client:
                structlog.contextvars.bind_contextvars(**{_CLIENT: client})
            self._gate.count(method, request, client, context.peer())

        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, count),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, count),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _stream(handler.stream_stream, count),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return _refusing(LandmarksError(f"{method} has a form that this server does not serve"))


def bearer_of(sent: Mapping[str, str | bytes]) -> str:
    """Return the key of `authorization: Bearer KEY`; empty where there is none."""
    value = sent.get(KEY_HEADER)
    if not isinstance(value, str):
        return ""
    scheme, _, key = value.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _refusing(error: LandmarksError) -> _Handler:
    async def refuse(_requests: Any, _context: _Context) -> AsyncIterator[bytes]:  # noqa: ANN401
        raise error
        yield b""  # which makes it a stream

    # Of a stream nothing is read until it is asked for; of one message all is read before.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _unary(behavior: Any, count: _Count) -> Any:  # noqa: ANN401 - gRPC's own
    async def call(request: Any, context: _Context) -> Any:  # noqa: ANN401
        count(request, context)
        return await behavior(request, context)

    return call


def _stream(behavior: Any, count: _Count) -> Any:  # noqa: ANN401
    async def call(request: Any, context: _Context) -> AsyncIterator[Any]:  # noqa: ANN401
        count(request, context)
        answers = behavior(request, context)
        if not hasattr(answers, "__aiter__"):  # reflection and health write to the context
            await answers
            return
        async for answer in answers:
            yield answer

    return call
