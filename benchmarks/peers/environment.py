"""Environments of the peers' own, made once by uv in a cache folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import CannotMeasureError, say

_HERE = Path(__file__).parent


def python_with(name: str, cache: Path) -> Path:
    """Return the Python of the environment with the requirements of a peer.

    Raises CannotMeasureError where it cannot be made.
    """
    requirements = _HERE / f"{name}.txt"
    made_of = f"{sys.version}\n{requirements.read_text(encoding='utf-8')}"
    key = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    folder = cache / f"{name}-{key}"
    python, complete = folder / "bin" / "python", folder / ".complete"
    if complete.exists():
        return python
    say(f"installing {name} into {folder}")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise CannotMeasureError(f"{name} cannot be installed: there is no uv")
    shutil.rmtree(folder, ignore_errors=True)  # one that was left half made
    _run(name, [uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    _run(name, [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)])
    complete.touch()
    return python


def _run(name: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise CannotMeasureError(f"{name} cannot be installed: {lines[-1].strip()}")
