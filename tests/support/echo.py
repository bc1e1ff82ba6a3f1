"""A server of ours whose responses report how it was called: an encoder that encodes nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1 import encoder_pb2_grpc as rpc
from landmarks.rpc.server import bind, create_server
from landmarks.security.tls import NO_TLS, Tls

Answer = Callable[[], Awaitable[str]]


class Echo(rpc.EncoderServiceServicer):
    """GetModel answers with what `answer` returns as the model's name, or fails as it does."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def GetModel(  # noqa: N802 - gRPC's name
        self, request: pb.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=pb.Model(name=await self._answer()))


@asynccontextmanager
async def echoing(
    answer: Answer, tls: Tls = NO_TLS, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Run a server and give its address."""
    server = create_server()
    rpc.add_EncoderServiceServicer_to_server(Echo(answer), server)
    port = bind(server, f"{host}:{port}", tls)
    await server.start()
    try:
        yield f"{host}:{port}"
    finally:
        await server.stop(None)
