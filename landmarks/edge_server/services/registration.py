"""gRPC services as tables of methods; a method that is not in the table is refused by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from landmarks.errors import UnsupportedError

Handler: TypeAlias = Callable[[bytes], Awaitable[bytes]]


def service(
    descriptor: ServiceDescriptor, handlers: Mapping[str, Handler]
) -> grpc.GenericRpcHandler:
    """Return a service whose methods take and return messages as bytes.

    Bytes, because most requests only pass through on their way to a shard's process.
    """
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        method.name: grpc.unary_unary_rpc_method_handler(
            _behavior(
                handlers.get(method.name) or _refusal(f"{descriptor.full_name}/{method.name}")
            )
        )
        for method in descriptor.methods
    }
    return grpc.method_handlers_generic_handler(descriptor.full_name, methods)


def _behavior(handler: Handler) -> Callable[..., Any]:  # as gRPC types handlers
    async def call(request: bytes, _context: object) -> bytes:
        return await handler(request)

    return call


def _refusal(method: str) -> Handler:
    async def refuse(_request: bytes) -> bytes:
        raise UnsupportedError(f"{method} is not supported by the embedded engine")

    return refuse
