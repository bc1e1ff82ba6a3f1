"""Starts the embedded vector database for a test, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.ports import free_port
from tests.support.processes import running_command

_START_SECONDS = 180


@dataclass(frozen=True)
class EdgeProcess:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kill it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()


def edge_environment(data_dir: Path, port: int) -> dict[str, str]:
    """Return the environment of a server."""
    return {
        **os.environ,
        "LANDMARKS_QDRANT_PORT": str(port),
        "LANDMARKS_EDGE_DATA_DIR": str(data_dir),
        "LANDMARKS_LOG_FORMAT": "console",
        "LANDMARKS_LOG_LEVEL": "WARNING",
    }


@contextmanager
def edge_process(
    data_dir: Path,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
) -> Iterator[EdgeProcess]:
    """Run a server on `data_dir` and wait until it serves; stop it in order at the end."""
    port = port or free_port()
    environment = {
        **edge_environment(data_dir, port),
        "LANDMARKS_EDGE_HOST": host,
        **(settings or {}),
    }
    command = [sys.executable, "-m", "landmarks.edge_server"]
    with running_command(command, environment, end_seconds=30) as process:
        wait_until_serving(process, port, host)
        yield EdgeProcess(port, process)


@contextmanager
def edge_server(data_dir: Path, port: int | None = None) -> Iterator[int]:
    """Run a server as `edge_process` does, and give its port."""
    with edge_process(data_dir, port) as server:
        yield server.port


def wait_until_serving(
    process: subprocess.Popen[bytes], port: int, host: str = "127.0.0.1"
) -> None:
    """Wait until a server answers; raises RuntimeError if it ends before."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(service="qdrant.Points"), timeout=1
                )
            except grpc.RpcError:
                time.sleep(0.1)
                continue
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return
    raise RuntimeError("the server did not start in time")


def refused_start(data_dir: Path, port: int | None = None) -> str:
    """Start a server that refuses to; return the reason, which comes last and has no traceback."""
    second = subprocess.run(
        [sys.executable, "-m", "landmarks.edge_server"],
        env=edge_environment(data_dir, port or free_port()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    return second.stderr.splitlines()[-1]
