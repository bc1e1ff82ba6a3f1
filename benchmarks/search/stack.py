"""A search service with what it needs, each part in a process of its own."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import running, wait_until
from benchmarks.services import edge_server
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks_tools.local_stack.free_ports import free_ports, listens
from landmarks_tools.local_stack.plan import HOST


@dataclass(frozen=True)
class SearchStack:
    """Where the search service and the embedded Qdrant are."""

    target: str
    qdrant: VectorStoreSettings


@contextlib.contextmanager
def qdrant_running() -> Iterator[VectorStoreSettings]:
    """Run the embedded Qdrant until the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="landmarks-bench-") as folder,
        edge_server(Path(folder)) as server,
    ):
        yield VectorStoreSettings(qdrant_port=server.port)


@contextlib.contextmanager
def search_service(
    qdrant: VectorStoreSettings, encoders: Mapping[str, Sequence[str]]
) -> Iterator[SearchStack]:
    """Run the search service over a Qdrant until the block ends."""
    [port] = free_ports(1)
    settings = {
        "LANDMARKS_SEARCH_PORT": str(port),
        "LANDMARKS_QDRANT_PORT": str(qdrant.qdrant_port),
        "LANDMARKS_ENCODERS": json.dumps(encoders),
        "LANDMARKS_PAGE_PORT": "",
        "LANDMARKS_LOG_LEVEL": "WARNING",
    }
    with running([sys.executable, "-m", "search_service"], settings) as process:
        # It is SERVING only with an encoder, but searches by vector without one.
        wait_until(process, lambda: listens(port), "the search service")
        yield SearchStack(f"{HOST}:{port}", qdrant)
