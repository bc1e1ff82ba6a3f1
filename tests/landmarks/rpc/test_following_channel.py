"""Replicas behind a name are found when they come, without waiting for a connection to end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import grpc
import pytest

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.errors import UnavailableError
from landmarks.rpc import name_watch
from landmarks.rpc.channel import open_aio_channel, open_channel
from landmarks.rpc.name_watch import name_in
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.dns_server import DnsServer, dns_server
from tests.support.echo import echoing

ASK = pb.GetModelRequest()
NAME = "encoder.test"
FIRST, SECOND = "127.0.0.1", "127.0.0.2"
PATIENCE_SECONDS = 20


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    monkeypatch.setattr(name_watch, "_LOOK_UP_SECONDS", 0.1)
    with dns_server(monkeypatch) as server:
        yield server


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("dns:///encoder-vgg16:50051", "encoder-vgg16"),
        ("dns://10.0.0.2:53/encoder-vgg16:50051", "encoder-vgg16"),
        ("dns:encoder-vgg16:50051", "encoder-vgg16"),
        ("encoder-vgg16.photos.svc:50051", "encoder-vgg16.photos.svc"),
        ("127.0.0.1:50051", ""),
        ("[::1]:50051", ""),
        ("localhost:50051", ""),
        ("ipv4:127.0.0.1:50051,127.0.0.1:50052", ""),
        ("unix:/run/landmarks", ""),
    ],
)
def test_a_target_names_a_host_or_is_an_address(target: str, name: str) -> None:
    assert name_in(target) == name


async def test_a_replica_that_is_added_gets_calls_and_a_running_call_ends_well(
    dns: DnsServer,
) -> None:
    go = asyncio.Event()

    async def first() -> str:
        return FIRST

    async def second() -> str:
        await go.wait()
        return SECOND

    async with AsyncExitStack() as stack:
        port = int((await stack.enter_async_context(echoing(first, host=FIRST))).split(":")[1])
        await stack.enter_async_context(echoing(second, host=SECOND, port=port))
        target = f"{dns.name(NAME)}:{port}"
        channel = await stack.enter_async_context(open_aio_channel(target))
        for_threads = stack.enter_context(open_channel(target))
        aio, threads = EncoderServiceStub(channel), EncoderServiceStub(for_threads)

        def call_in_thread() -> str:
            return threads.GetModel(ASK, timeout=10).model.name

        dns.zone[NAME] = [SECOND]
        running = asyncio.ensure_future(_answer_of(aio))
        running_in_thread = threads.GetModel.future(ASK, timeout=PATIENCE_SECONDS)
        await asyncio.sleep(0.5)  # until both wait for the second

        dns.zone[NAME] = [FIRST]
        await _until(lambda: _answered_at_once(aio), FIRST)
        go.set()
        await _until(lambda: asyncio.to_thread(call_in_thread), FIRST)
        assert await running == SECOND
        assert (await asyncio.to_thread(running_in_thread.result)).model.name == SECOND

        dns.zone[NAME] = [FIRST, SECOND]
        for replica in (SECOND, FIRST):
            await _until(lambda: _answer_of(aio), replica)
            await _until(lambda: asyncio.to_thread(call_in_thread), replica)


@pytest.mark.slow
async def test_what_comes_back_after_its_name_had_no_address_is_found(
    dns: DnsServer, edge_settings: VectorStoreSettings
) -> None:
    async def first() -> str:
        return FIRST

    port = edge_settings.qdrant_port
    settings = VectorStoreSettings.load(
        {"qdrant_host": dns.name("qdrant.test"), "qdrant_port": port}
    )
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(echoing(first))
        channel = await stack.enter_async_context(
            open_aio_channel(f"{dns.name(NAME)}:{address.split(':')[1]}")
        )
        store = SearchStore(settings)
        stack.push_async_callback(store.close)
        client = connect(settings)
        stack.callback(client.close)
        collections = Collections(client, settings)

        async def reach() -> None:
            await EncoderServiceStub(channel).GetModel(ASK, timeout=2)
            await store.ping()
            await asyncio.to_thread(collections.find_live, "sample", "vgg16")

        # As long as gRPC's own wait of 10 s takes to build up.
        for _ in range(34):
            with pytest.raises(grpc.aio.AioRpcError):
                await EncoderServiceStub(channel).GetModel(ASK, timeout=2)
            with pytest.raises(UnavailableError):
                await store.ping()
            with pytest.raises(UnavailableError):
                await asyncio.to_thread(collections.find_live, "sample", "vgg16")
            await asyncio.sleep(0.5)
        dns.zone |= {NAME: [FIRST], "qdrant.test": [FIRST]}
        async with asyncio.timeout(5):
            while True:
                try:
                    await reach()
                    break
                except (grpc.aio.AioRpcError, UnavailableError):
                    await asyncio.sleep(0.1)


async def _until(answer: Callable[[], Awaitable[str]], expected: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await answer() != expected:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.05)


async def _answer_of(stub: EncoderServiceStub) -> str:
    return (await stub.GetModel(ASK, timeout=PATIENCE_SECONDS)).model.name


async def _answered_at_once(stub: EncoderServiceStub) -> str:
    try:
        return (await stub.GetModel(ASK, timeout=0.2)).model.name
    except grpc.aio.AioRpcError:
        return ""
