"""Spans from the client through the search service and Celery to the encoder and Qdrant."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from landmarks.probe import is_serving
from tests.support.collector import Collector, running_collector
from tests.support.indexing_rig import Rig, draw_photo
from tests.support.ports import free_port
from tests.support.processes import ROOT, eventually, running_module
from tests.support.valkey import running_valkey

# A Qdrant server sends no spans.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.needs(engine="embedded"),
]

GALLERY = "traced"
SEARCH = "/landmarkapi.search.v1.SearchService/Search"
CREATE = "/landmarkapi.indexing.v1.IndexingService/CreateIndexJob"
ENCODE = "/landmarkapi.encoder.v1.EncoderService/Encode"
BATCH_ENCODE = "/landmarkapi.encoder.v1.EncoderService/BatchEncode"
GET_MODEL = "/landmarkapi.encoder.v1.EncoderService/GetModel"


@dataclass(frozen=True)
class Traced:
    """A stack whose parts send spans, and what they have sent."""

    rig: Rig
    collector: Collector
    server: str

    def run(self, *arguments: str | Path) -> str:
        """Run the command, which sends spans too."""
        ran = subprocess.run(
            [Path(sys.executable).with_name("landmarks"), *arguments, "--server", self.server],
            env={**os.environ, "LANDMARKS_OTLP_ENDPOINT": self.collector.endpoint},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def trace(self, name: str, until: set[tuple[str, str]]) -> list[tuple[str, Span]]:
        """Return the trace that the command began with a call, once it has what it must have."""

        def complete() -> bool:
            trace = self.collector.trace_of("landmarks", name)
            return not until - {(owner, span.name) for owner, span in trace} and not orphans(trace)

        try:
            eventually(complete, "the trace is complete", 30)
        except AssertionError:
            trace = self.collector.trace_of("landmarks", name)
            given = [(owner, span.name) for owner, span in trace]
            raise AssertionError(f"{given} is not all of {until}: {orphans(trace)}") from None
        return self.collector.trace_of("landmarks", name)


def orphans(trace: list[tuple[str, Span]]) -> list[str]:
    """Return the spans whose parent is not in the trace; one is the root."""
    ids = {span.span_id for _, span in trace}
    return [f"{owner} {span.name}" for owner, span in trace if span.parent_span_id not in ids][1:]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    port = free_port()
    with (
        pytest.MonkeyPatch.context() as patch,
        running_collector() as collector,
        running_valkey(tmp_path_factory.mktemp("valkey")) as valkey,
    ):
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        rig = Rig(tmp_path_factory.mktemp("rig"), valkey, tmp_path_factory.mktemp("photos"))
        for number in range(6):
            draw_photo(rig.photos / "Atomium" / f"{number}.png", number)
        sent = {"otlp_endpoint": collector.endpoint}
        search = {**rig.settings(), **sent, "search_port": str(port)}
        with (
            rig.qdrant(**sent),
            rig.encoder(**sent),
            rig.worker(**sent),
            running_module("search_service", **search),
        ):
            server = f"127.0.0.1:{port}"
            eventually(lambda: is_serving(server), "the search service is ready")
            yield Traced(rig, collector, server)


def test_one_trace_leads_from_the_command_through_celery_to_the_encoder_and_qdrant(traced):
    traced.run("index", traced.rig.photos, "--gallery", GALLERY, "--wait")
    trace = traced.trace(
        CREATE,
        {
            ("landmarks", CREATE),
            ("search", CREATE),
            ("search", "apply_async/indexer_worker.index"),
            ("indexer_worker", "run/indexer_worker.index"),
            ("indexer_worker", GET_MODEL),
            ("encoder", GET_MODEL),
            ("indexer_worker", "run/indexer_worker.index_chunk"),
            ("indexer_worker", BATCH_ENCODE),
            ("encoder", BATCH_ENCODE),
            ("indexer_worker", "/qdrant.Points/UpdateBatch"),
            ("qdrant-edge", "/qdrant.Points/UpdateBatch"),
        },
    )
    chunks = [span for _, span in trace if span.name == "run/indexer_worker.index_chunk"]
    assert len(chunks) == 2  # six photos in chunks of four


def test_one_trace_leads_from_the_command_through_a_search_to_the_encoder_and_qdrant(traced):
    traced.run("index", traced.rig.photos, "--gallery", GALLERY, "--wait")
    photo = traced.rig.photos / "Atomium" / "0.png"
    traced.run("search", photo, "--gallery", GALLERY)
    trace = traced.trace(
        SEARCH,
        {
            ("landmarks", SEARCH),
            ("search", SEARCH),
            ("search", ENCODE),
            ("encoder", ENCODE),
            ("search", "/qdrant.Points/QueryBatch"),
            ("qdrant-edge", "/qdrant.Points/QueryBatch"),
        },
    )
    data = photo.read_bytes()
    assert not any(data in span.SerializeToString() for _, span in trace)


def test_frequent_calls_between_services_leave_no_spans(traced):
    traced.run("models")  # by now, the search service has looked at the others many times
    name = "/landmarkapi.search.v1.SearchService/ListModels"
    traced.trace(name, {("landmarks", name), ("search", name), ("search", GET_MODEL)})
    for owner, span in traced.collector.spans:
        assert "grpc.health" not in span.name
        if (owner, span.name) in {("search", GET_MODEL), ("encoder", GET_MODEL)}:
            assert span.parent_span_id, "a call of the health watch"


PROGRAM = """
import asyncio, sys
import grpc
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.errors import LineageError
from landmarks.rpc.channel import open_aio_channel
from landmarks.settings import Settings
from landmarks.observability.telemetry import telemetry
from tests.support.echo import echoing

async def refused():
    raise LineageError("another digest")

async def never():
    await asyncio.Event().wait()

async def main(answer):
    async with echoing(answer) as address, open_aio_channel(address) as channel:
        call = EncoderServiceStub(channel).GetModel(pb.GetModelRequest())
        try:
            await asyncio.wait_for(call, 0.5)
        except (TimeoutError, grpc.aio.AioRpcError):
            pass

with telemetry(Settings(otlp_endpoint=sys.argv[1]), "program"):
    asyncio.run(main({"refused": refused, "never": never}[sys.argv[2]]))
"""


def spans_of_program(*arguments: str) -> list[Span]:
    with running_collector() as collector:
        command = [sys.executable, "-c", PROGRAM, collector.endpoint, *arguments]
        subprocess.run(command, cwd=ROOT, check=True, timeout=120)
        return [span for _, span in collector.spans]


def test_the_spans_of_a_failed_call_say_so_at_both_ends():
    spans = spans_of_program("refused")
    assert {span.kind for span in spans} == {Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER}
    for span in spans:
        given = {one.key: one.value.int_value for one in span.attributes}
        assert given["rpc.grpc.status_code"] == 9


def test_a_cancelled_call_leaves_a_span_with_an_error():
    spans = spans_of_program("never")
    [client] = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]
    assert client.status.code == Status.STATUS_CODE_ERROR
    assert client.status.message == "cancelled"


def test_an_unreachable_collector_disturbs_nothing():
    with running_collector() as collector:
        endpoint = collector.endpoint
    command = [sys.executable, "-c", PROGRAM, endpoint, "refused"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
