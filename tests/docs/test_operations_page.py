"""The commands of docs/operations.md, run as they stand against real stacks, and what it names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from math import log
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import encoder_service.metrics
import indexer_worker.metrics
import landmarks.observability.metrics
import search_service.health
import search_service.search.recall_monitor
from landmarks.probe import is_serving
from tests.support.engine import engine_process
from tests.support.indexing_rig import MODEL, Rig
from tests.support.local_stack import COLOURS, Stack, photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.valkey import running_valkey

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
COUNTED = (
    encoder_service.metrics,
    indexer_worker.metrics,
    landmarks.observability.metrics,
    search_service.health,
    search_service.search.recall_monitor,
)
ALARMS = (
    "CollectionLayoutUnsafe",
    "EncoderQueueWaitHigh",
    "EncoderRefusing",
    "IndexDeadLetters",
    "IndexStalled",
    "SearchErrors",
    "SearchSlow",
    "RecallLow",
    "ServiceDown",
)


def blocks(heading: str) -> list[str]:
    """The blocks of a section that are meant to be run here, in their order."""
    _, found, rest = PAGE.partition(f"# {heading}\n")
    assert found, heading
    section = re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]
    # A comment in a block begins with # too, but never at the start of a line of this page.
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def run(code: str, folder: Path, environment: dict[str, str]) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-euc", code],
        cwd=folder,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, f"{code}\n{result.stdout}{result.stderr}"
    return result.stdout


def test_every_block_is_run_below() -> None:
    assert [len(blocks(heading)) for heading in SECTIONS] == [2, 2, 1, 1, 3]
    assert PAGE.count("```sh\n") == 9


SECTIONS = (
    "The stack on one machine",
    "Export and import",
    "From one machine to a cluster",
    "Another version of the program",
    "A newer model, blue and green",
)


def test_every_metric_and_alarm_that_is_named_exists() -> None:
    assert all(COUNTED)
    exported = {
        name
        for metric in REGISTRY.collect()
        for name in (metric.name, f"{metric.name}_total")
        if metric.name.startswith("landmarks_")
    }
    named = set(re.findall(r"`(landmarks_[a-z_]+)", PAGE))
    assert named
    assert named <= exported
    assert [name for name in ALARMS if f"| `{name}` |" not in PAGE] == []


def test_the_tables_are_what_their_formulas_give() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \|((?: [\d.]+ GB \|)+)$", PAGE, re.MULTILINE)
    assert len(rows) == 9
    for count, dimension, cells in rows:
        n, d = int(count.replace(",", "")), int(dimension)
        originals, index = n * d * 4, n * 2 * 16 * 4
        expected = (
            originals,
            0.2e9 + originals + index + 700 * n,
            0.3e9 + n * d + index + 110 * n,
            0.3e9 + 5.3 * originals,
            3 * (originals + index),
        )
        assert re.findall(r"[\d.]+", cells) == [f"{one / 1e9:.1f}" for one in expected], (n, d)
    waits = re.findall(r"^\| `.*\| ([\d.]+) \| [\d.]+ h \|(.*)\|$", PAGE, re.MULTILINE)
    assert len(waits) == 2
    for rate, cells in waits:
        mu = float(rate)
        for load, cell in zip((0.5, 0.7, 0.9), cells.split("|"), strict=True):
            mean = load / (2 * mu * (1 - load))
            tail = log(20 * load) / (2 * mu * (1 - load))
            stated = [
                float(number) / (1000 if unit == "ms" else 1)
                for number, unit in re.findall(r"([\d.]+) (ms|s)\b", cell)
            ]
            assert stated == pytest.approx([mean, tail], rel=0.06), cell


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("operated") / "data")
    stack.start()
    photos = tmp_path_factory.mktemp("photos")
    for colour in ("red", "blue"):
        (photos / colour).mkdir()
        for number in range(4):
            (photos / colour / f"{number}.jpg").write_bytes(photo(colour, number))
    stack.json("index", photos, "--wait")
    try:
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()


def environment(stack: Stack) -> dict[str, str]:
    return {**stack.environment, "LANDMARKS_DATA_DIR": str(stack.data_dir)}


@pytest.mark.slow
@pytest.mark.integration
def test_backing_up_and_restoring_the_stack(stack: Stack, tmp_path: Path) -> None:
    backup, restore = blocks("The stack on one machine")
    assert "1 collections" in run(backup, tmp_path, environment(stack))
    [before] = blocks("Another version of the program")
    run(before, tmp_path, environment(stack))
    assert stack.stop() == 0
    for name in ("qdrant", "valkey"):
        shutil.rmtree(stack.data_dir / name)
    run(restore, tmp_path, environment(stack))
    stack.start()
    assert stack.points("landmarks") == 8


@pytest.mark.slow
@pytest.mark.integration
def test_exporting_importing_and_moving_to_another_qdrant(stack: Stack, tmp_path: Path) -> None:
    out, back = blocks("Export and import")
    assert '"model":"scratch"' in run(out, tmp_path, environment(stack))
    assert "8 written; live, replacing" in run(back, tmp_path, environment(stack))
    assert stack.points("landmarks") == 16, "the one before is the way back"
    [move] = blocks("From one machine to a cluster")
    with engine_process(tmp_path / "cluster") as other:
        # The embedded server has one shard; what a cluster has is in the settings alone.
        move = move.replace("qdrant.example", "127.0.0.1").replace("6334", str(other.port))
        move = re.sub(r"(NUMBER|FACTOR)=\d", r"\1=1", move)
        assert "8 written; live" in run(move, tmp_path, environment(stack))


@pytest.mark.slow
@pytest.mark.integration
def test_rolling_a_model_out_and_back(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as valkey:
        rig = Rig(tmp_path / "rig", valkey, tmp_path / "photos", has_newer=True)
        rig.directory.mkdir()
        for number in range(60):
            path = rig.photos / COLOURS[number % 3] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo(COLOURS[number % 3], number))
        (rig.photos / "labelled.csv").write_text(
            f"path,landmark\n{COLOURS[0]}/0.jpg,{COLOURS[0]}\n"
        )
        port = free_port()
        service = {
            "search_port": str(port),
            "encoders": json.dumps({MODEL: rig.encoders}),
            "source_roots": json.dumps([str(rig.photos)]),
            "qdrant_port": str(rig.qdrant_port),
            "redis_url": valkey.url,
        }
        shell = {**os.environ, "LANDMARKS_SERVER": f"127.0.0.1:{port}"}
        with rig.qdrant(), rig.encoder(), rig.worker(), running_module("search_service", **service):
            eventually(lambda: is_serving(shell["LANDMARKS_SERVER"], "", 1), "it serves")
            rig.index("landmarks", rig.photos)
            fill, calibrate, back = (
                code.replace("vgg16", MODEL) for code in blocks("A newer model, blue and green")
            )
            with rig.newer_encoder():
                output = run(fill, rig.photos, shell)
                assert output.count("landmarks__") >= 2
                run(calibrate, rig.photos, shell)
                assert "is live: 60 points" in run(back, rig.photos, shell)
