"""The programs in examples/, run as they stand against a real stack that uses one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from landmarks.client import Landmarks
from landmarks.probe import is_serving
from tests.support.indexing_rig import draw_photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.valkey import running_valkey

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
PER_LANDMARK = 4
LANDMARKS = ("Atomium", "Eiffel", "Soreq")


@dataclass(frozen=True)
class Stack:
    """A search service, and the photos that it may index."""

    server: str
    photos: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env={**os.environ, "LANDMARKS_SERVER": self.server},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def python(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, EXAMPLES / name, *arguments)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("examples")
    photos = folder / "photos"
    for number, landmark in enumerate(LANDMARKS):
        for copy in range(PER_LANDMARK):
            draw_photo(photos / landmark / f"{copy}.png", number * 10 + copy)
    (photos / "Atomium" / "broken.jpg").write_bytes(b"this is not a photo")
    encoder, qdrant, search = free_port(), free_port(), free_port()
    with running_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        settings = {
            "redis_url": valkey.url,
            "qdrant_port": str(qdrant),
            "encoders": json.dumps({"histogram": [f"127.0.0.1:{encoder}"]}),
            "source_roots": json.dumps([str(photos)]),
        }
        data = str(folder / "qdrant")
        process = subprocess.Popen([sys.executable, EXAMPLES / "own_encoder.py", str(encoder)])
        try:
            with (
                running_module(
                    "landmarks.edge_server", qdrant_port=str(qdrant), edge_data_dir=data
                ),
                running_module("indexer_worker", worker_name="examples", **settings),
                running_module("search_service", search_port=str(search), **settings),
            ):
                server = f"127.0.0.1:{search}"
                eventually(lambda: is_serving(server), "the search service is ready")
                yield Stack(server, photos)
        finally:
            process.terminate()
            process.wait(15)


@pytest.fixture(scope="module")
def indexed(stack: Stack) -> Stack:
    result = stack.python("index_and_watch.py", stack.photos, "landmarks")
    assert result.returncode == 0, result.stderr
    assert "JOB_STATE_SUCCEEDED" in result.stdout
    assert "histogram: 13 of 13" in result.stdout
    assert "not indexed by histogram: Atomium/broken.jpg" in result.stdout
    return stack


def test_indexing_is_watched_to_its_end_and_dead_letters_are_listed(indexed: Stack) -> None:
    with Landmarks(indexed.server) as client:
        [collection] = client.collections("landmarks")
        assert collection.points == len(LANDMARKS) * PER_LANDMARK


def test_a_search_prints_the_verdict_and_the_hits(indexed: Stack) -> None:
    photo = indexed.photos / "Eiffel" / "1.png"
    result = indexed.python("search.py", photo)
    assert result.returncode == 0, result.stderr
    verdict, first, *_ = result.stdout.splitlines()
    assert verdict.startswith("verdict: ")
    assert first == f"1. Eiffel  file://{photo}"


def test_a_search_of_something_else_fails_with_the_reason(indexed: Stack) -> None:
    result = indexed.python("search.py", indexed.photos / "Atomium" / "broken.jpg")
    assert result.returncode == 1
    assert "photo" in result.stderr


def test_the_own_encoder_encodes_parts_of_photos(indexed: Stack) -> None:
    photo = (indexed.photos / "Soreq" / "0.png").read_bytes()
    with Landmarks(indexed.server) as client:
        whole = client.search(photo=photo, gallery="landmarks")
        part = client.search(photo=photo, gallery="landmarks", box=(0.0, 0.0, 0.5, 0.5))
    assert whole.fused[0].point.landmark == "Soreq"
    assert part.rankings[0].hits[0].score < whole.rankings[0].hits[0].score


@pytest.mark.needs(program="node", folder="examples/node/node_modules")
def test_node_finds_the_same(indexed: Stack) -> None:
    photo = indexed.photos / "Eiffel" / "1.png"
    result = indexed.run("node", EXAMPLES / "node" / "search.mjs", photo)
    assert result.returncode == 0, result.stderr
    assert result.stdout == indexed.python("search.py", photo).stdout
