"""A `landmarks up` of its own ports and data, and photos to put into it."""

import json
import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from tests.support.ports import free_port, free_ports_in_a_row
from tests.support.processes import command_line, descendants, eventually

LANDMARKS = Path(sys.executable).with_name("landmarks")
COLOURS = ("red", "green", "blue", "orange", "purple")


class Stack:
    """A `landmarks up` of its own ports and data."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        in_a_row = free_ports_in_a_row(9)
        self.ports = {
            "LANDMARKS_SEARCH_PORT": free_port(),
            "LANDMARKS_PAGE_PORT": free_port(),
            "LANDMARKS_QDRANT_PORT": free_port(),
            "LANDMARKS_REDIS_PORT": free_port(),
            "LANDMARKS_ENCODER_PORT": in_a_row,  # and the three after it
            "LANDMARKS_METRICS_PORT": in_a_row + 4,  # and the four after it
        }
        self.server = f"127.0.0.1:{self.ports['LANDMARKS_SEARCH_PORT']}"
        self.options: list[str] = []  # of `up`, beside the usual ones
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
        arguments = ["up", "--models", "scratch", "--scale", "scratch=2", *self.options]
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
            seconds=300,
        )
        assert "All ready" in self.log.read_text(), self.log.read_text()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.terminate()  # a failing test leaves nothing behind
            self.process.wait(60)
            raise

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

    def points(self, gallery: str = "") -> int:
        with Landmarks(self.server) as client:
            return sum(collection.points for collection in client.collections(gallery))

    def answers(self) -> bool:
        """Whether everything answers: the photos are found by an encoded query."""
        try:
            with Landmarks(self.server) as client:
                answer = client.search(photo=photo("red", 0), gallery="colours", limit=1)
        except LandmarksError:
            return False
        return answer.rankings[0].hits[0].point.landmark == "red"


def photo(colour: str, number: int) -> bytes:
    image = Image.new("RGB", (160, 120), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((10 + number, 10, 110 + number, 110), fill=colour)
    draw.line((0, number * 8, 160, 60), fill="black", width=3)
    file = BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()
