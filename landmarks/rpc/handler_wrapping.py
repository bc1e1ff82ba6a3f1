"""Wraps the handler of a method, unary or streaming, in a context manager around each call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# Given a call's request, or the iterator of its requests, and its context.
Around: TypeAlias = Callable[[object, Context], AbstractAsyncContextManager[None]]


def within(around: Around, handler: Handler) -> Handler | None:
    """Return a handler that runs `handler` within `around`.

    None for client streams with one answer, as no method of this system is one.
    """
    if handler.unary_unary is not None:
        wrap, behavior = grpc.unary_unary_rpc_method_handler, _answer(handler.unary_unary, around)
    elif handler.unary_stream is not None:
        wrap, behavior = grpc.unary_stream_rpc_method_handler, _stream(handler.unary_stream, around)
    elif handler.stream_stream is not None:
        wrap = grpc.stream_stream_rpc_method_handler
        behavior = _stream(handler.stream_stream, around)
    else:
        return None
    return wrap(
        behavior,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _answer(behavior: Any, around: Around) -> Any:  # noqa: ANN401 - gRPC's own handler types
    async def call(request: Any, context: Context) -> Any:  # noqa: ANN401
        async with around(request, context):
            return await behavior(request, context)

    return call


def _stream(behavior: Any, around: Around) -> Any:  # noqa: ANN401
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        async with around(request, context):
            answers = behavior(request, context)
            if not hasattr(answers, "__aiter__"):  # reflection and health write to the context
                await answers
                return
            async for answer in answers:
                yield answer

    return call
