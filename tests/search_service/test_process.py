"""`python -m search_service` from its operator's point of view."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from landmarkapi.search.v1 import search_pb2 as pb
from landmarkapi.search.v1.search_pb2_grpc import SearchServiceStub
from landmarks.errors import ConfigurationError, InvalidPhotoError
from landmarks.probe import is_serving
from landmarks.rpc.channel import open_aio_channel
from search_service.server import serve
from search_service.settings import SearchSettings
from tests.support.ports import free_port
from tests.support.processes import eventually
from tests.support.search_encoder import ColourEncoder
from tests.support.search_stack import GALLERY, Qdrant, draw, error_of

pytestmark = pytest.mark.integration

SECRET = b"what-only-the-photo-holds"


@contextmanager
def search_process(
    log: Path, port: int, qdrant_port: int = 1, encoders: dict[str, list[str]] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "LANDMARKS_SEARCH_PORT": str(port),
        "LANDMARKS_QDRANT_PORT": str(qdrant_port),
        "LANDMARKS_ENCODERS": json.dumps(encoders or {}),
        "LANDMARKS_SEARCH_HEALTH_SECONDS": "0.2",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "search_service"], env=environment, stderr=out
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use_is_reported_and_ends_the_process(tmp_path: Path, qdrant: Qdrant) -> None:
    taken = qdrant.settings.qdrant_port

    with search_process(tmp_path / "log", taken) as process:
        assert process.wait(30) == 2

    assert (
        f"cannot listen on 127.0.0.1:{taken}: the port is in use" in (tmp_path / "log").read_text()
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("LANDMARKS_SEARCH_PORT", "99999"), ("LANDMARKS_SOURCE_ROOTS", '["not/absolute"]')],
)
def test_an_invalid_setting_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDMARKS_SEARCH_PORT", "0")
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=name):
        asyncio.run(serve(SearchSettings.load()))


async def test_it_logs_what_it_serves_but_no_photo_and_finishes_accepted_calls(
    tmp_path: Path, qdrant: Qdrant
) -> None:
    port = free_port()
    async with ColourEncoder("thumbnail") as encoder:
        with search_process(
            tmp_path / "log",
            port,
            qdrant.settings.qdrant_port,
            {"thumbnail": [encoder.target]},
        ) as process:
            address = f"127.0.0.1:{port}"
            await asyncio.to_thread(
                eventually, lambda: is_serving(address), "the search service serves"
            )
            assert await asyncio.to_thread(_services, address) >= {
                "landmarkapi.search.v1.SearchService",
                "landmarkapi.indexing.v1.IndexingService",
                "grpc.health.v1.Health",
            }

            async with open_aio_channel(address) as channel:
                refused = SearchServiceStub(channel).Search(
                    pb.SearchRequest(gallery=GALLERY, photo=SECRET, models=["thumbnail"]),
                    timeout=20,
                )
                assert isinstance(await error_of(refused), InvalidPhotoError)
                encoder.asked.clear()
                encoder.go.clear()
                answer = SearchServiceStub(channel).Search(
                    pb.SearchRequest(
                        gallery=GALLERY, photo=draw("Atomium", 99) + SECRET, models=["thumbnail"]
                    ),
                    timeout=20,
                )
                await asyncio.wait_for(encoder.asked.wait(), 20)
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(
                    eventually, lambda: not is_serving(address), "it says that it is going"
                )
                encoder.go.set()
                assert (await answer).verdict.landmark == "Atomium"

            assert await asyncio.to_thread(process.wait, 30) == 0
    said = (tmp_path / "log").read_bytes()
    assert b"request refused" in said
    assert SECRET not in said


def _services(address: str) -> set[str]:
    with grpc.insecure_channel(address) as channel:
        return set(ProtoReflectionDescriptorDatabase(channel).get_services())


def test_the_search_service_never_imports_torch() -> None:
    code = (
        "import sys, search_service.__main__, search_service.server, landmarks.client;"
        "sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
