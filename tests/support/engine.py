"""The Qdrant of a test: the embedded one, or a real server where its program is named.

The environment variable LANDMARKS_TEST_QDRANT_BINARY names the program.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.support.edge import EdgeProcess, wait_until_serving
from tests.support.ports import free_port
from tests.support.processes import running_command, running_module

BINARY = "LANDMARKS_TEST_QDRANT_BINARY"

# What a real server calls the settings that the embedded one shares with its clients.
_NAMES_THERE = {
    "qdrant_api_key": "SERVICE__API_KEY",
    "qdrant_tls": "SERVICE__ENABLE_TLS",
    "tls_certificate": "TLS__CERT",
    "tls_key": "TLS__KEY",
}


def qdrant_binary() -> str:
    """Return the program of a real server; empty if none is named."""
    return os.environ.get(BINARY, "")


def running_engine(
    folder: Path, port: int, **settings: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a Qdrant with its data in `folder`; `settings` are those of the embedded one."""
    if qdrant_binary():
        known = {
            _NAMES_THERE[name]: text for name, text in settings.items() if name in _NAMES_THERE
        }
        return running_server(folder, port, free_port(), known)
    return running_module(
        "landmarks.edge_server", qdrant_port=str(port), edge_data_dir=str(folder), **settings
    )


def running_server(
    folder: Path,
    port: int,
    http_port: int,
    settings: Mapping[str, str],
    arguments: tuple[str, ...] = (),
    log: Path | None = None,
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a real server on loopback that reports nothing to anybody.

    `settings` are its own, without the prefix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = {
        "SERVICE__HOST": "127.0.0.1",
        "SERVICE__GRPC_PORT": str(port),
        "SERVICE__HTTP_PORT": str(http_port),
        "STORAGE__STORAGE_PATH": str(folder / "storage"),
        "STORAGE__SNAPSHOTS_PATH": str(folder / "snapshots"),
        "TELEMETRY_DISABLED": "true",
        "LOG_LEVEL": "WARN",
        **settings,
    }
    environment = {**os.environ, **{f"QDRANT__{name}": text for name, text in own.items()}}
    command = [Path(qdrant_binary()).resolve(), "--disable-telemetry", *arguments]
    return running_command(command, environment, directory=folder, log=log)


@contextmanager
def engine_process(folder: Path, port: int | None = None) -> Iterator[EdgeProcess]:
    """Run a Qdrant as `running_engine` does, and wait until it serves."""
    port = port or free_port()
    with running_engine(folder, port) as process:
        wait_until_serving(process, port)
        yield EdgeProcess(port, process)
