"""The program's services, each in a process of its own until a block ends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from subprocess import Popen

from benchmarks.processes import Server, running, serves, wait_until
from landmarks.job_store.store import JobStore
from landmarks_tools.local_stack.broker import broker_binary
from landmarks_tools.local_stack.free_ports import free_ports, listens
from landmarks_tools.local_stack.plan import HOST

_QUIET = {"LANDMARKS_LOG_LEVEL": "WARNING"}
_WORKER = "bench"


def encoder_command() -> list[str]:
    """Return the command of the encoder service."""
    return [sys.executable, "-m", "encoder_service"]


def encoder_environment(model: str, port: int, **settings: object) -> dict[str, str]:
    """Return the environment of the encoder service; `settings` are those of `EncoderSettings`."""
    values = {"models": model, "encoder_port": port, "log_level": "WARNING", **settings}
    return {f"LANDMARKS_{name.upper()}": str(value) for name, value in values.items()}


@contextlib.contextmanager
def encoder(
    model: str, cores: Sequence[int] = (), port: int = 0, **settings: object
) -> Iterator[Server]:
    """Run an encoder service until the block ends; it is SERVING when the block begins."""
    port = port or free_ports(1)[0]
    environment = encoder_environment(model, port, **settings)
    with running(encoder_command(), environment, cores) as process:
        wait_until(process, lambda: serves(port, model), f"{model} to be SERVING")
        yield Server(process, port)


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run Valkey with its append-only file in `folder`; gives its port."""
    [port] = free_ports(1)
    options = {"bind": HOST, "port": str(port), "dir": str(folder), "appendonly": "yes", "save": ""}
    command = [str(broker_binary())]
    for name, value in options.items():
        command += [f"--{name}", value]
    with running(command) as process:
        wait_until(process, lambda: listens(port), "Valkey")
        yield port


@contextlib.contextmanager
def edge_server(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run the embedded Qdrant server with its data in `folder`."""
    [port] = free_ports(1)
    environment = {
        **_QUIET,
        "LANDMARKS_QDRANT_PORT": str(port),
        "LANDMARKS_EDGE_DATA_DIR": str(folder),
        **(settings or {}),
    }
    with running([sys.executable, "-m", "landmarks.edge_server"], environment) as process:
        wait_until(process, partial(serves, port, "qdrant.Points"), "the embedded Qdrant")
        yield Server(process, port)


@contextlib.contextmanager
def qdrant_server(binary: Path, folder: Path) -> Iterator[Server]:
    """Run a Qdrant server with its data, and all else that it writes, in `folder`."""
    http_port, port = free_ports(2)
    environment = {
        "QDRANT__TELEMETRY_DISABLED": "true",
        "QDRANT__LOG_LEVEL": "WARN",
        "QDRANT__SERVICE__HOST": HOST,
        "QDRANT__SERVICE__HTTP_PORT": str(http_port),
        "QDRANT__SERVICE__GRPC_PORT": str(port),
    }
    with running([str(binary)], environment, folder=folder) as process:
        wait_until(process, partial(serves, port, ""), "the Qdrant server")
        yield Server(process, port)


@contextlib.contextmanager
def worker(jobs: JobStore, settings: Mapping[str, str]) -> Iterator[Popen[bytes]]:
    """Run an indexing worker; `jobs` is the store in which it announces itself."""
    environment = {**_QUIET, "LANDMARKS_WORKER_NAME": _WORKER, **settings}
    with running([sys.executable, "-m", "indexer_worker"], environment) as process:
        wait_until(process, lambda: jobs.worker_is_announced(_WORKER), "the worker")
        yield process
