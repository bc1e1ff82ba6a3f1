"""The blocks of docs/clients.md, run as they stand against a real stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from landmarks.client import Landmarks
from landmarks.probe import is_serving
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.valkey import running_valkey

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()
BLOCKS = {
    match.group(0).strip().splitlines()[0].lstrip("# "): match.group("code")
    for match in re.finditer(
        r"^#+ [^\n]+\n(?:(?!^#).)*?```python\n(?P<code>.*?)```", PAGE, re.MULTILINE | re.DOTALL
    )
}


@dataclass(frozen=True)
class Place:
    """A folder to run a block in, and what its addresses and folders stand for."""

    folder: Path
    target: str
    photos: Path

    def run(self, code: str, **environment: str) -> str:
        """Run a block, with this stack's address and folder for those of the page."""
        assert "127.0.0.1:50050" in code
        code = code.replace("127.0.0.1:50050", self.target).replace('"/photos"', f'"{self.photos}"')
        script = self.folder / "block.py"
        script.write_text(code)
        result = subprocess.run(
            [sys.executable, script],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        rig = Rig(tmp_path_factory.mktemp("rig"), valkey, tmp_path_factory.mktemp("photos"))
        for seed in range(12):
            draw_photo(rig.photos / ("Atomium", "Soreq", "Eiffel")[seed % 3] / f"{seed}.png", seed)
        (rig.photos / "Atomium" / "broken.jpg").write_bytes(b"this is not a photo")
        folder = tmp_path_factory.mktemp("blocks")
        draw_photo(folder / "drawn.jpg", 3).rename(folder / "somewhere.jpg")
        port = free_port()
        target = f"127.0.0.1:{port}"
        service = {
            "search_port": str(port),
            "encoders": json.dumps({MODEL: rig.encoders}),
            "source_roots": json.dumps([str(rig.photos)]),
            "qdrant_port": str(rig.qdrant_port),
            "redis_url": valkey.url,
        }
        with rig.qdrant(), rig.encoder(), rig.worker(), running_module("search_service", **service):
            eventually(lambda: is_serving(target), "the search service is ready")
            rig.index("landmarks", rig.photos)
            yield Place(folder, target, rig.photos)


def test_every_python_block_is_run_here() -> None:
    assert len(BLOCKS) == PAGE.count("```python")
    assert list(BLOCKS) == [
        "Python",
        "Search options",
        "In an event loop",
        "Jobs",
        "Generated stubs",
    ]


def test_a_search_and_its_verdict(place: Place) -> None:
    first, *hits = place.run(BLOCKS["Python"]).splitlines()
    assert first.endswith("of the votes")
    assert len(hits) == 5
    assert MODEL in hits[0]


def test_parts_examples_filters_and_batches(place: Place) -> None:
    counts, *verdicts = place.run(BLOCKS["Search options"]).splitlines()
    assert counts.split()[0] == "10"
    assert len(verdicts) == 2


def test_the_same_in_an_event_loop(place: Place) -> None:
    assert MODEL in place.run(BLOCKS["In an event loop"])


def test_a_job_from_start_to_end(place: Place) -> None:
    output = place.run(BLOCKS["Jobs"])
    assert f"{MODEL}: 12 of 13" in output
    assert "Atomium/broken.jpg" in output
    with Landmarks(place.target) as client:
        assert [one.points for one in client.collections("mine")] == [12]


def test_generated_stubs_alone_do_the_same(place: Place) -> None:
    (place.folder / "protos").symlink_to(ROOT / "protos")
    [commands] = re.findall(r"```sh\n(mkdir -p stubs\n.*?)```", PAGE, re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = {"cwd": place.folder, "env": {**os.environ, "PATH": path}, "check": True}
    subprocess.run(["sh", "-euc", commands], **shell)
    stubs = place.folder / "stubs" / "landmarkapi"
    for package in (stubs, *stubs.rglob("*/")):  # or the package that is installed here comes first
        (package / "__init__.py").touch()
    output = place.run(BLOCKS["Generated stubs"], PYTHONPATH="", PYTHONSAFEPATH="1")
    assert output.splitlines()[0] == "JOB_STATE_SUCCEEDED 12"
    assert output.splitlines()[1].startswith("1 ")
