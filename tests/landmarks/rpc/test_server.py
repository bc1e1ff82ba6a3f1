"""What every server answers besides its own methods."""

import asyncio
import resource
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.rpc.channel import open_aio_channel
from landmarks.rpc.server import (
    NOT_SERVING,
    SERVING,
    add_health_and_reflection,
    bind,
    create_server,
)
from tests.support.echo import echoing


async def nobody() -> str:
    return ""


async def test_health_lists_every_service_with_its_state() -> None:
    server = create_server()
    health = add_health_and_reflection(server, [])
    await health.set("", SERVING)
    await health.set("vgg16", NOT_SERVING)
    port = bind(server, "127.0.0.1:0")
    await server.start()
    try:
        async with open_aio_channel(f"127.0.0.1:{port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            listed = await stub.List(health_pb2.HealthListRequest(), timeout=10)
            states = {name: one.status for name, one in listed.statuses.items()}
            assert states == {"": SERVING, "vgg16": NOT_SERVING}

            await health.enter_graceful_shutdown()
            listed = await stub.List(health_pb2.HealthListRequest(), timeout=10)
            assert {one.status for one in listed.statuses.values()} == {NOT_SERVING}
    finally:
        await server.stop(None)


async def test_a_method_that_nobody_wrote_is_unimplemented_and_no_fault_of_the_server() -> None:
    async with echoing(nobody) as address, open_aio_channel(address) as channel:
        with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as caught:
            await EncoderServiceStub(channel).Encode(pb.EncodeRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_connections_take_half_of_the_file_descriptors_at_most() -> None:
    grpc.aio.init_grpc_aio()  # which opens some
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, hard))
    try:
        server = create_server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
    port = bind(server, "127.0.0.1:0")
    await server.start()
    try:
        with ExitStack() as connections:
            readers = []
            for _ in range(12):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                connections.callback(writer.close)
                readers.append(reader)
            # gRPC speaks first, with its settings, and says nothing to those it has no room for.
            heard = await asyncio.gather(*(reader.read(1) for reader in readers))
        assert sum(map(bool, heard)) == 10
    finally:
        await server.stop(None)
