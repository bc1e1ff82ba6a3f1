"""Starts and ends the processes that are measured."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc
from grpc_health.v1 import health_pb2

from benchmarks.harness import CannotMeasureError
from landmarks_tools.local_stack.free_ports import listens
from landmarks_tools.local_stack.plan import HOST
from landmarks_tools.local_stack.process_group import end_group

ROOT = Path(__file__).parent.parent
_END_SECONDS = 15
_START_SECONDS = 300
_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True)
class Server:
    """A process that listens on a port of this machine."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def target(self) -> str:
        """Its address."""
        return f"{HOST}:{self.port}"

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def on_cores(numbers: Sequence[int]) -> Iterator[None]:
    """Restrict processes started in this block to these cores; no numbers: no restriction."""
    if not numbers:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, numbers)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    cores: Sequence[int] = (),
    *,
    folder: Path = ROOT,
    talks: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a folder, the repository, until the block ends; then end its processes.

    If the block raises CannotMeasureError, the last line of its log is added to the message.
    `talks`: its standard input and output are pipes.
    """
    pipe = subprocess.PIPE if talks else subprocess.DEVNULL
    with tempfile.TemporaryFile() as log:
        with on_cores(cores):
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **_paths(), **(environment or {})},
                stdin=pipe,
                stdout=pipe,
                stderr=log,
                start_new_session=True,  # its own group, which is ended as a whole
            )
        try:
            yield process
        except CannotMeasureError as error:
            raise CannotMeasureError(f"{error}{_last_line(log)}") from error
        finally:
            _end(process)


def serves(port: int, service: str) -> bool:
    """Return whether a server reports a service as SERVING, without retries."""
    if not listens(port):
        return False
    request = health_pb2.HealthCheckRequest(service=service)
    # Not `landmarks.probe`, as the retries of its channel delay the answer.
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"{HOST}:{port}", options=options) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            return bool(check(request, timeout=2).status == _SERVING)
        except grpc.RpcError:
            return False


def wait_for_serving(port: int, service: str) -> None:
    """Watch a listening server until it reports a service as SERVING.

    Raises CannotMeasureError if the watch ends before.
    """
    request = health_pb2.HealthCheckRequest(service=service)
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            for answer in watch(request, timeout=_START_SECONDS):
                if answer.status == _SERVING:
                    return
        except grpc.RpcError as error:
            raise CannotMeasureError(f"{service} was never SERVING") from error


def wait_until(
    process: subprocess.Popen[bytes], check: Callable[[], bool], what: str, every: float = 0.05
) -> None:
    """Wait until `check` is true. Raises CannotMeasureError if the process ends, or on timeout."""
    deadline = time.monotonic() + _START_SECONDS
    while not check():
        if process.poll() is not None:
            raise CannotMeasureError(f"{Path(process.args[0]).name} ended")  # type: ignore[index, arg-type]
        if time.monotonic() > deadline:
            raise CannotMeasureError(f"waited {_START_SECONDS} s for {what}")
        time.sleep(every)


def _paths() -> dict[str, str]:
    """Return where Python finds the project in an environment that it is not installed in."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")])}


def _end(process: subprocess.Popen[bytes]) -> None:
    end_group(process, _END_SECONDS)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return f" ({lines[-1].strip()[:300]})" if lines else ""
