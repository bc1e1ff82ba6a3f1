"""Authorization and rate limits of the front door: the real service, over the wire."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import generate_latest

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.indexing.v1.indexing_pb2_grpc import IndexingServiceStub
from landmarkapi.search.v1 import search_pb2
from landmarkapi.search.v1.search_pb2_grpc import SearchServiceStub
from landmarks.client import AsyncLandmarks, Landmarks
from landmarks.errors import (
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    OverloadedError,
    UnauthenticatedError,
)
from landmarks.rpc.channel import open_aio_channel
from landmarks.rpc.server import is_loopback
from landmarks.rpc.status import rpc_status
from landmarks.security import api_keys
from landmarks.security.api_keys import Permission
from landmarks.security.caller import Caller
from landmarks.security.tls import Tls
from search_service.authorization import REQUIRED_PERMISSIONS, Authorizer, required_permission
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.search_encoder import ColourEncoder
from tests.support.search_stack import GALLERY, Qdrant, draw

pytestmark = pytest.mark.integration

READ, WRITE = Permission.READ, Permission.WRITE
SERVICES = (search_pb2, indexing_pb2, health_pb2, reflection_pb2)


@asynccontextmanager
async def serving(qdrant_port: int = 1, **more: object) -> AsyncIterator[str]:
    """Run a search service, possibly without its engines, and yield its address."""
    given = {"search_port": 0, "qdrant_port": qdrant_port, "page_port": "", **more}
    async with running(SearchSettings.load(given)) as service:
        yield f"127.0.0.1:{service.port}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


async def code_of(call: object) -> str:
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def test_every_method_has_a_required_permission() -> None:
    served = {
        service.full_name: {method.name for method in service.methods}
        for module in SERVICES
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    assert {service: set(methods) for service, methods in REQUIRED_PERMISSIONS.items()} == served


def test_a_method_that_writes_requires_a_key_with_write_permission() -> None:
    changing = re.compile(
        "Create|Cancel|Resume|Retry|Delete|Reindex|Promote|Rollback|Drop|Draw|Cal|Check"
    )
    for service, methods in REQUIRED_PERMISSIONS.items():
        for name, needed in methods.items():
            if service.startswith("landmarkapi."):
                assert needed is (WRITE if changing.match(name) else READ), name
    assert required_permission("/landmarkapi.search.v1.SearchService/Forgotten") is WRITE
    assert required_permission("/a.service.of.Tomorrow/Get") is WRITE


async def test_every_served_method_refuses_a_call_without_a_key(file: Path) -> None:
    api_keys.create(file, "app", READ)
    async with serving(api_keys_file=str(file)) as address, open_aio_channel(address) as channel:
        for service, methods in REQUIRED_PERMISSIONS.items():
            for name, needed in methods.items():
                call = channel.unary_unary(f"/{service}/{name}")
                if needed is not None:
                    assert await code_of(call(b"", timeout=20)) == "UNAUTHENTICATED", name


async def test_a_search_requires_a_key_with_read_permission(qdrant: Qdrant, file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    photo = draw("Atomium", 99)
    async with (
        ColourEncoder("thumbnail") as encoder,
        serving(
            qdrant.settings.qdrant_port,
            encoders={"thumbnail": [encoder.target]},
            api_keys_file=str(file),
        ) as address,
    ):
        async with AsyncLandmarks(address) as stranger:
            with pytest.raises(UnauthenticatedError, match="LANDMARKS_API_KEY"):
                await stranger.search(photo=photo, gallery=GALLERY)
            known = stranger.on_behalf_of(key)
            assert (await known.search(photo=photo, gallery=GALLERY)).fused
            with pytest.raises(UnauthenticatedError):  # the second key does not exist yet
                await stranger.models()
        async with AsyncLandmarks(address, api_key=key) as known:
            assert [model.name for model in await known.models()] == ["thumbnail"]
            with pytest.raises(ForbiddenError, match=r"'app' may only read.*--write"):
                await known.drop("colours__thumbnail__00000000")

        def in_a_thread() -> int:
            with Landmarks(address, api_key=key) as known:
                return len(known.search(photo=photo, gallery=GALLERY).fused)

        assert await asyncio.to_thread(in_a_thread)


async def test_a_key_with_write_permission_may_call_methods_that_write(
    qdrant: Qdrant, file: Path
) -> None:
    key = api_keys.create(file, "admin", WRITE)
    async with (
        serving(qdrant.settings.qdrant_port, api_keys_file=str(file)) as address,
        AsyncLandmarks(address, api_key=key) as admin,
    ):
        with pytest.raises(NotFoundError):  # the call was let through
            await admin.drop("nowhere__thumbnail__00000000")


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer ", "Bearer lmk_wrong", "Basic {key}", "{key}", "bearer {key}x"],
)
async def test_anything_but_the_key_as_a_bearer_token_is_refused(file: Path, sent: str) -> None:
    key = api_keys.create(file, "app", WRITE)
    async with serving(api_keys_file=str(file)) as address, open_aio_channel(address) as channel:
        call = SearchServiceStub(channel).ListModels(
            search_pb2.ListModelsRequest(),
            timeout=20,
            metadata=(("authorization", sent.format(key=key)),),
        )
        assert await code_of(call) == "UNAUTHENTICATED"


async def test_calls_of_made_up_methods_are_not_counted(file: Path) -> None:
    api_keys.create(file, "app", READ)
    async with serving(api_keys_file=str(file)) as address, open_aio_channel(address) as channel:
        for method in ("/made.Up/Method", "/landmarkapi.search.v1.SearchService/MadeUp"):
            assert await code_of(channel.unary_unary(method)(b"", timeout=20)) == "UNIMPLEMENTED"
        call = SearchServiceStub(channel).ListModels(search_pb2.ListModelsRequest(), timeout=20)
        assert await code_of(call) == "UNAUTHENTICATED"
    counted = generate_latest().decode()
    assert "ListModels" in counted
    assert "MadeUp" not in counted
    assert "made.Up" not in counted


async def test_keys_are_rotated_without_a_restart(file: Path) -> None:
    old = api_keys.create(file, "app-1", READ)
    async with serving(api_keys_file=str(file)) as address, AsyncLandmarks(address) as client:
        assert list(await client.on_behalf_of(old).models()) == []
        new = api_keys.create(file, "app-2", READ)
        for key in (old, new):
            await client.on_behalf_of(key).models()
        api_keys.revoke(file, "app-1")
        with pytest.raises(UnauthenticatedError):
            await client.on_behalf_of(old).models()
        await client.on_behalf_of(new).models()


async def test_probes_need_no_key_and_reflection_does(file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    async with serving(api_keys_file=str(file)) as address, open_aio_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=20)).status
        watching = health.Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert (await watching.read()).status
        watching.cancel()
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="*")
        stranger = reflection.ServerReflectionInfo(iter([asked]), timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stranger.read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        known = reflection.ServerReflectionInfo(
            iter([asked]), timeout=20, metadata=(("authorization", f"Bearer {key}"),)
        )
        assert (await known.read()).list_services_response.service


async def test_a_client_over_the_rate_limit_gets_a_retry_delay(file: Path) -> None:
    loud = api_keys.create(file, "loud", READ)
    quiet = api_keys.create(file, "quiet", READ)
    limits = {"rate_limit": 0.01, "rate_burst": 3}
    async with (
        serving(api_keys_file=str(file), **limits) as address,
        AsyncLandmarks(address) as client,
        open_aio_channel(address, api_key=loud) as channel,
    ):
        for _ in range(3):
            await client.on_behalf_of(loud).models()
        with pytest.raises(OverloadedError, match="loud calls more than"):
            await client.on_behalf_of(loud).models()
        await client.on_behalf_of(quiet).models()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await SearchServiceStub(channel).ListModels(search_pb2.ListModelsRequest(), timeout=20)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        hint = RetryInfo()
        assert any(detail.Unpack(hint) for detail in rpc_status(refused.value).details)
        assert 90 < hint.retry_delay.ToSeconds() <= 100
        health = health_pb2_grpc.HealthStub(channel)
        for _ in range(5):  # probes are not counted
            await health.Check(health_pb2.HealthCheckRequest(), timeout=20)


async def test_without_keys_a_client_is_an_address() -> None:
    async with serving(rate_limit=0.01, rate_burst=2) as address:
        for _ in range(2):
            async with AsyncLandmarks(address) as client:  # another port each time
                await client.models()
        async with AsyncLandmarks(address) as client:
            with pytest.raises(OverloadedError, match=r"127\.0\.0\.1 calls more than"):
                await client.models()


async def test_a_batch_counts_by_its_searches(file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    async with (
        serving(api_keys_file=str(file), rate_limit=0.01, rate_burst=4) as address,
        open_aio_channel(address, api_key=key) as channel,
    ):
        stub = SearchServiceStub(channel)
        batch = search_pb2.BatchSearchRequest(searches=[search_pb2.SearchRequest()] * 4)
        assert await code_of(stub.BatchSearch(batch, timeout=20)) == "OK"
        models = stub.ListModels(search_pb2.ListModelsRequest(), timeout=20)
        assert await code_of(models) == "RESOURCE_EXHAUSTED"


async def test_the_client_waits_and_retries_when_the_rate_limit_is_reached(file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    async with (
        serving(api_keys_file=str(file), rate_limit=20, rate_burst=1) as address,
        AsyncLandmarks(address, api_key=key) as client,
    ):
        for _ in range(5):
            await client.models()


async def test_a_refusal_comes_before_the_message_is_read(file: Path) -> None:
    api_keys.create(file, "app", READ)
    async with serving(api_keys_file=str(file)) as address, open_aio_channel(address) as channel:
        # The message never ends, so a server that waited for it would never answer.
        call = channel.stream_unary("/landmarkapi.search.v1.SearchService/Search")

        async def endless() -> AsyncIterator[bytes]:
            await asyncio.sleep(600)
            yield b""

        assert await code_of(call(endless(), timeout=20)) == "UNAUTHENTICATED"


def test_without_keys_everybody_may_call_everything() -> None:
    authorizer = Authorizer(None, 0, 1)
    assert authorizer.authenticate("anything") == Caller("", WRITE)
    assert not authorizer.requires_keys


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("", False),
        ("192.168.1.7", False),
        ("search.internal", False),
        ("localhost.evil.example", False),
    ],
)
def test_loopback_addresses_are_recognised(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("given", "what"),
    [({"search_host": "0.0.0.0"}, "search"), ({"page_host": "0.0.0.0", "page_port": 0}, "page")],
)
async def test_listening_on_all_addresses_without_keys_is_refused_unless_allowed(
    given: dict[str, object], what: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        async with serving(**given):
            pass
    for word in (what, "landmarks keys create", "LANDMARKS_ALLOW_UNAUTHENTICATED", "security.md"):
        assert word in str(refused.value)
    async with (
        serving(**given, allow_unauthenticated=True) as address,
        AsyncLandmarks(address) as client,
    ):
        await client.models()


async def test_listening_on_all_addresses_with_keys_is_allowed(file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    given = {"search_host": "0.0.0.0", "page_host": "0.0.0.0", "page_port": 0}
    async with (
        serving(**given, api_keys_file=str(file)) as address,
        AsyncLandmarks(address, api_key=key) as client,
    ):
        await client.models()


async def test_keys_go_through_tls_and_the_front_door_demands_no_certificate(
    file: Path, tmp_path: Path
) -> None:
    key = api_keys.create(file, "app", READ)
    authority = Authority(tmp_path / "ca")
    server = authority.issue("search")
    person = Tls(ca=authority.file)
    settings = {"tls_certificate": server.certificate, "tls_key": server.key, "tls_ca": server.ca}
    async with (
        serving(**settings, api_keys_file=str(file)) as address,
        AsyncLandmarks(address, api_key=key, tls=person) as client,
    ):
        await client.models()


async def test_a_missing_file_of_keys_is_reported() -> None:
    with pytest.raises(ConfigurationError, match="nowhere/keys cannot be read"):
        async with serving(api_keys_file="/nowhere/keys"):
            pass


async def test_without_redis_indexing_checks_the_key_first(file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    port = free_port()
    async with (
        serving(api_keys_file=str(file), redis_url=f"redis://127.0.0.1:{port}/0") as address,
        open_aio_channel(address, api_key=key) as channel,
    ):
        stub = IndexingServiceStub(channel)
        wanted = stub.CancelIndexJob(indexing_pb2.CancelIndexJobRequest(id="x"), timeout=20)
        assert await code_of(wanted) == "PERMISSION_DENIED"
        call = stub.GetIndexJob(indexing_pb2.GetIndexJobRequest(id="x"), timeout=20)
        assert await code_of(call) in ("UNAVAILABLE", "NOT_FOUND", "INVALID_ARGUMENT")
