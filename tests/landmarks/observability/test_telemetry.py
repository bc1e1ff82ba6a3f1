"""What a process lets be seen of it, and what it costs where nobody looks."""

import asyncio
import socket
import subprocess
import sys
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import grpc
import pytest

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.errors import ConfigurationError, LineageError, OverloadedError
from landmarks.observability.telemetry import metrics_served, telemetry
from landmarks.rpc.channel import open_aio_channel
from landmarks.settings import Settings
from tests.support.echo import Answer, echoing
from tests.support.scrape import Scraped, is_healthy, scrape, scraped
from tests.support.search_stack import eventually

CALLS = "landmarks_grpc_server_calls_total"
GET_MODEL = {"grpc_service": "landmarkapi.encoder.v1.EncoderService", "grpc_method": "GetModel"}


async def get_model(answer: Answer, seconds: float | None = None) -> None:
    async with echoing(answer) as address, open_aio_channel(address) as channel:
        await EncoderServiceStub(channel).GetModel(pb.GetModelRequest(), timeout=seconds)


async def counted(metrics: Scraped, *codes: str) -> None:
    """Wait until the server has counted the call: its caller knows of its end first."""

    async def check() -> bool:
        return any(metrics.since(CALLS, **GET_MODEL, grpc_code=code) for code in codes)

    await eventually(check, f"a call is counted as {codes}")


async def test_calls_are_counted_by_service_method_and_code_and_their_time_is_taken():
    async def answer() -> str:
        return ""

    with scraped() as metrics:
        await get_model(answer)
        await counted(metrics, "OK")
        assert metrics.since(CALLS, **GET_MODEL, grpc_code="OK") == 1
        assert metrics.since("landmarks_grpc_server_call_seconds_count", **GET_MODEL) == 1


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (LineageError("another digest"), "LineageError", "FAILED_PRECONDITION"),
        (OverloadedError("full"), "OverloadedError", "RESOURCE_EXHAUSTED"),
        (ZeroDivisionError(), "ZeroDivisionError", "INTERNAL"),
    ],
)
async def test_failures_are_counted_by_kind_and_as_calls_by_code(error, kind, code):
    async def fail() -> str:
        raise error

    with scraped() as metrics:
        with pytest.raises(grpc.aio.AioRpcError):
            await get_model(fail)
        await counted(metrics, code)
        assert metrics.since("landmarks_failures_total", kind=kind) == 1
        assert metrics.since(CALLS, **GET_MODEL, grpc_code=code) == 1
        assert metrics.since(CALLS, **GET_MODEL, grpc_code="OK") == 0


async def test_a_call_whose_caller_did_not_wait_is_counted():
    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    with scraped() as metrics:
        with pytest.raises(grpc.aio.AioRpcError):
            await get_model(never, seconds=0.2)
        # Which of them, both ends decide for themselves.
        await counted(metrics, "DEADLINE_EXCEEDED", "CANCELLED")


def test_metrics_are_served_on_any_free_port_while_the_process_serves_and_not_after():
    with metrics_served(Settings(metrics_port=0)) as port:
        assert port
        assert any(name == "process_start_time_seconds" for name, _ in scrape(port))
    with pytest.raises(URLError):
        scrape(port)


@pytest.mark.parametrize("ready", [True, False])
def test_a_container_is_as_healthy_as_its_service_says(ready):
    with metrics_served(Settings(metrics_port=0), lambda: ready) as port:
        assert port
        assert is_healthy(port) == ready
        assert scrape(port)  # and where it is not, it can still be looked at


def test_a_service_that_cannot_say_how_it_is_is_not_healthy_and_its_check_says_why():
    def fail() -> bool:
        raise ConfigurationError("the certificate cannot be read")

    with metrics_served(Settings(metrics_port=0), fail) as port:
        assert port
        assert not is_healthy(port)
        with pytest.raises(HTTPError) as refused:
            urlopen(f"http://127.0.0.1:{port}/health", timeout=10)
        assert refused.value.code == 503
        assert "the certificate cannot be read" in refused.value.read().decode()
    assert not is_healthy(port)  # nobody is there any more
    with metrics_served(Settings(metrics_port=0)) as port:  # none of ours that runs in a container
        assert port
        assert not is_healthy(port)


def test_without_a_port_there_are_none():
    with metrics_served(Settings()) as port:
        assert port is None


def test_a_port_for_metrics_that_is_in_use_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"),
            telemetry(Settings(metrics_port=port), "test"),
        ):
            pass


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4317", "ftp://there", "http://"])
def test_an_endpoint_for_spans_that_is_no_address_is_refused(endpoint):
    with pytest.raises(ConfigurationError, match="LANDMARKS_OTLP_ENDPOINT"):
        Settings.load({"otlp_endpoint": endpoint})


@pytest.mark.integration
@pytest.mark.parametrize("package", ["encoder_service", "search_service", "landmarks.edge_server"])
def test_a_service_that_sends_no_spans_imports_nothing_that_would(package):
    program = f"""
import sys
import {package}.server
from landmarks.settings import Settings
from landmarks.observability.telemetry import telemetry, untraced
with telemetry(Settings(), "test"), untraced(Settings()):
    pass
print(*(name for name in sys.modules if name.startswith((
    "landmarks.observability.tracing", "opentelemetry.exporter", "opentelemetry.instrumentation",
    "opentelemetry.sdk.trace"))))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, ""), ran.stdout + ran.stderr
