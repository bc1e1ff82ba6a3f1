"""`landmarks up` as its user sees it: real processes, killed and brought back."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from tests.support.processes import (
    command_line,
    cpu_ticks,
    descendants,
    eventually,
    free_port,
    free_ports_in_a_row,
    is_running,
)

pytestmark = pytest.mark.integration

LANDMARKS = Path(sys.executable).with_name("landmarks")
COLOURS = ("red", "green", "blue", "orange", "purple")


class Stack:
    """A `landmarks up` of its own ports and data."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ports = {
            "LANDMARKS_SEARCH_PORT": free_port(),
            "LANDMARKS_QDRANT_PORT": free_port(),
            "LANDMARKS_REDIS_PORT": free_port(),
            "LANDMARKS_ENCODER_PORT": free_ports_in_a_row(4),
        }
        self.server = f"127.0.0.1:{self.ports['LANDMARKS_SEARCH_PORT']}"
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        ports = {name: str(port) for name, port in self.ports.items()}
        return {
            **os.environ,
            **ports,
            "LANDMARKS_SERVER": self.server,
            "LANDMARKS_CHUNK_SIZE": "4",  # so that a few photos are several calls
            "PYTHONUNBUFFERED": "1",
        }

    def start(self) -> None:
        arguments = ["up", "--models", "scratch", "--scale", "scratch=2"]
        with self.log.open("w") as output:
            process = subprocess.Popen(
                [LANDMARKS, *arguments, "--data-dir", self.data_dir],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.process = process
        eventually(
            lambda: "All ready" in self.log.read_text() or process.poll() is not None,
            "ready",
            seconds=180,
        )
        assert "All ready" in self.log.read_text(), self.log.read_text()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def below(self) -> dict[int, str]:
        assert self.process is not None
        return {pid: command_line(pid) for pid in descendants(self.process.pid)}

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LANDMARKS, *arguments], env=self.environment, capture_output=True, text=True
        )

    def json(self, *arguments: str | Path) -> Any:
        result = self.run(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def points(self) -> int:
        with Landmarks(self.server) as client:
            return sum(collection.points for collection in client.collections())

    def answers(self) -> bool:
        """Whether everything answers: the photos are found by a photo that is encoded anew."""
        try:
            with Landmarks(self.server) as client:
                answer = client.search(photo=photo("red", 0), gallery="colours", limit=1)
        except LandmarksError:
            return False
        return answer.rankings[0].hits[0].point.landmark == "red"


def photo(colour: str, number: int) -> bytes:
    from io import BytesIO

    image = Image.new("RGB", (160, 120), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((10 + number, 10, 110 + number, 110), fill=colour)
    draw.line((0, number * 8, 160, 60), fill="black", width=3)
    file = BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("colours")
    for colour in COLOURS:
        (root / colour).mkdir()
        for number in range(8):
            (root / colour / f"{number}.jpg").write_bytes(photo(colour, number))
    return root


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.start()
    try:
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()


def encoders(stack: Stack) -> list[int]:
    return [pid for pid, line in stack.below().items() if line.endswith("-m encoder_service")]


def test_a_folder_is_indexed_by_both_encoders_and_a_second_run_encodes_nothing(
    stack: Stack, folder: Path
) -> None:
    before = {pid: cpu_ticks(pid) for pid in encoders(stack)}
    assert len(before) == 2
    job = stack.json("index", folder, "--gallery", "colours", "--wait")
    (progress,) = job["progress"]
    assert (progress["listed"], progress["stored"], progress["dead"]) == ("40", "40", "0")
    assert all(cpu_ticks(pid) > ticks for pid, ticks in before.items()), "one encoder got no work"

    again = stack.json("index", folder, "--gallery", "colours", "--wait")
    (progress,) = again["progress"]
    assert (progress["unchanged"], progress["encoded"]) == ("40", "0")
    assert stack.points() == 40


def test_a_search_finds_its_photos_filters_and_draws_a_sheet(
    stack: Stack, folder: Path, tmp_path: Path
) -> None:
    query, sheet = folder / "blue" / "3.jpg", tmp_path / "sheet.png"
    result = stack.run("search", query, "--gallery", "colours", "--sheet", sheet)
    assert result.returncode == 0, result.stderr
    assert "blue" in result.stdout
    with Image.open(sheet) as drawn:
        assert drawn.format == "PNG"
    arguments = (
        "search",
        query,
        "--gallery",
        "colours",
        "--limit",
        "40",
        "--where",
        "landmark=red",
    )
    (ranking,) = stack.json(*arguments)["rankings"]
    assert {hit["point"]["landmark"] for hit in ranking["hits"]} == {"red"}
    assert len(ranking["hits"]) == 8


def test_lists_of_jobs_models_and_collections_say_what_there_is(stack: Stack) -> None:
    jobs = stack.json("jobs")
    assert [job["state"] for job in jobs] == ["JOB_STATE_SUCCEEDED"] * 2
    assert stack.json("jobs", jobs[0]["id"])["id"] == jobs[0]["id"]
    (model,) = stack.json("models")
    assert (model["name"], model["ready"]) == ("scratch", True)
    (collection,) = stack.json("collections")
    assert (collection["gallery"], collection["points"]) == ("colours", "40")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("search", "README.md"), 3, "landmarks"),
        (("search", "no-such-file.jpg"), 2, "no-such-file.jpg"),
        (("search", "README.md", "--gallery", "colours"), 2, "not a photo"),
        (("index", "/no/such/folder"), 2, "/no/such/folder"),
        (("jobs", "no-such-job"), 3, "no-such-job"),
    ],
    ids=["unknown gallery", "no file", "not a photo", "no folder", "unknown job"],
)
def test_what_cannot_be_done_is_said_in_words_and_by_the_exit_status(
    stack: Stack, arguments: tuple[str, ...], status: int, said: str
) -> None:
    result = stack.run(*arguments)
    assert (result.returncode, said in result.stderr) == (status, True), result.stderr
    assert "Traceback" not in result.stderr


def test_a_second_stack_on_the_same_data_or_ports_is_refused(stack: Stack, tmp_path: Path) -> None:
    same_data = stack.run("up", "--models", "scratch", "--data-dir", stack.data_dir)
    assert same_data.returncode == 1
    assert str(stack.data_dir) in same_data.stderr.replace("\n", "")
    same_ports = stack.run("up", "--models", "scratch", "--data-dir", tmp_path)
    assert same_ports.returncode == 1
    assert "is in use" in same_ports.stderr.replace("\n", " ")


def test_any_process_that_is_killed_comes_back_with_all_points(stack: Stack) -> None:
    for line in set(stack.below().values()):
        count = len(stack.below())
        victim = next(pid for pid, command in stack.below().items() if command == line)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda pid=victim: not is_running(pid), "killed")
        eventually(
            lambda number=count: len(stack.below()) == number and stack.answers(),
            f"{line} is back",
        )
        eventually(lambda: stack.points() == 40, "all points are there")


def test_after_all_were_killed_another_start_finds_everything(stack: Stack) -> None:
    assert stack.process is not None
    everything = [stack.process.pid, *stack.below()]
    for pid in everything:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
    stack.process.wait(10)
    eventually(lambda: not any(map(is_running, everything)), "all are gone")
    stack.start()
    assert stack.points() == 40
    assert stack.answers()


def test_ctrl_c_stops_everything(stack: Stack) -> None:
    everything = list(stack.below())
    assert stack.stop() == 0
    assert not [command_line(pid) for pid in everything if is_running(pid)]
    for port in stack.ports.values():
        socket.create_server(("127.0.0.1", port)).close()
