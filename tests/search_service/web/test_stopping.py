"""The page stops with the search service, even while browsers have streams open."""

from __future__ import annotations

import signal
import urllib.request
from pathlib import Path

import pytest

from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.probe import is_serving
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.search_stack import Qdrant
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.integration


def test_an_open_stream_of_a_running_job_does_not_delay_stopping(
    qdrant: Qdrant, tmp_path: Path
) -> None:
    port, page = free_port(), free_port()
    with running_valkey(tmp_path) as valkey:
        job = JobStore(connect_redis(valkey.url), valkey.url).create(
            IndexSpec("waiting", "/nowhere", ("thumbnail",))
        )
        settings = {
            "search_port": str(port),
            "page_port": str(page),
            "qdrant_port": str(qdrant.settings.qdrant_port),
            "redis_url": valkey.url,
            "search_drain_seconds": "600",
        }
        with running_module("search_service", **settings) as service:
            eventually(lambda: _is_served(page), "the page is served")
            watched = f"http://127.0.0.1:{page}/api/jobs/watch?id={job.id}"
            with urllib.request.urlopen(watched, timeout=60) as stream:
                assert stream.readline() == b"event: job\n"
                service.send_signal(signal.SIGTERM)
                assert service.wait(60) == 0  # the drain alone would last until the job ends
                assert b"event: ended" not in stream.read()
            assert not is_serving(f"127.0.0.1:{port}")


def _is_served(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except OSError:
        return False
    return True
