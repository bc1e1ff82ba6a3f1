"""A lean gRPC front that speaks the encoder's protocol: no admission, no deadlines, no health."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import grpc

from encoder_service.models.base import FloatArray
from landmarkapi.encoder.v1 import encoder_pb2 as pb

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


async def serve(model: str, port: int, encode: Callable[[bytes], Awaitable[FloatArray]]) -> None:
    """Serve `Encode` until SIGTERM."""

    async def answer(
        request: pb.EncodeRequest,
        context: grpc.aio.ServicerContext[pb.EncodeRequest, pb.EncodeResponse],
    ) -> pb.EncodeResponse:
        del context
        row = await encode(request.photo)
        return pb.EncodeResponse(embedding=pb.Embedding(values=row.tolist()), model=model)

    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=pb.EncodeRequest.FromString,
        response_serializer=pb.EncodeResponse.SerializeToString,
    )
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ]
    )
    name = pb.DESCRIPTOR.services_by_name["EncoderService"].full_name
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, {"Encode": handler})]
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(0)
