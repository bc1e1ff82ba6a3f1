"""What a test may need beyond the environment of `make setup`, by one marker.

`@pytest.mark.needs(program="chromium")` skips a test where the machine has no Chromium, and says
how to install it. Under CI, where all programs must be installed, the test fails instead.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import NoReturn

import pytest

from tests.support.closed_network import can_be_closed
from tests.support.engine import qdrant_binary
from tests.support.processes import ROOT

_PROGRAMS = {
    "chromium": "apt-get install chromium",
    "kubectl": "its `kubectl kustomize` renders the Kubernetes files",
    "node": "the example in JavaScript runs on Node.js 20",
    "promtool": "it is in Debian's package prometheus",
    "uv": "pip install uv",
}
_FOLDERS = {"examples/node/node_modules": "npm install in examples/node"}
_SYSTEMS = {"linux": "Linux"}


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it under CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def check(mark: pytest.Mark) -> None:
    """Skip or fail where a need of a `needs` marker is not met."""
    for kind, name in mark.kwargs.items():
        _CHECKS[kind](name)


def _network(name: str) -> None:
    assert name == "closed"
    if problem := can_be_closed():
        skip_or_fail(f"no closed network: {problem}")


def _program(name: str) -> None:
    if shutil.which(name) is None:
        skip_or_fail(f"{name} is not installed: {_PROGRAMS[name]}")


def _device(name: str) -> None:
    import torch

    assert name == "cuda"
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")


def _engine(name: str) -> None:
    assert name == "embedded"
    if qdrant_binary():
        pytest.skip("this is about the embedded engine, and a real server runs in its place")


def _folder(path: str) -> None:
    if not (ROOT / path).is_dir():
        pytest.skip(f"there is no {path}: {_FOLDERS[path]}")


def _system(name: str) -> None:
    if sys.platform != name:
        pytest.skip(f"only on {_SYSTEMS[name]}")


def _user(name: str) -> None:
    assert name == "root"
    if os.geteuid() != 0:
        pytest.skip("only root may do this")


def _mount(kind: str) -> None:
    assert kind == "tmpfs"
    if problem := _mount_problem():
        pytest.skip(f"this user may not mount: {problem}")


@functools.cache
def _mount_problem() -> str:
    if sys.platform != "linux":
        return "not on Linux"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "landmarks-test", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
    return done.stderr.strip()


def _weights(model: str) -> None:
    if problem := _missing_weights(model):
        pytest.skip(problem)


@functools.cache
def _missing_weights(model: str) -> str:
    from encoder_service.settings import WeightsSettings
    from encoder_service.weights.store import ensure_weights
    from landmarks.errors import UnavailableError

    try:
        ensure_weights(model, WeightsSettings.load())
    except UnavailableError as error:
        return str(error)
    return ""


_CHECKS: Mapping[str, Callable[[str], None]] = {
    "device": _device,
    "engine": _engine,
    "folder": _folder,
    "mount": _mount,
    "network": _network,
    "program": _program,
    "system": _system,
    "user": _user,
    "weights": _weights,
}
