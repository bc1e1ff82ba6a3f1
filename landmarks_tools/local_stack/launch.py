"""Become one process of a plan: `python -m landmarks_tools.local_stack.launch PLAN.json NAME`.

The process manager starts every process through this module, so that environments need no quoting
in its configuration and no process outlives it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to send this process SIGTERM when its parent dies; it holds across exec.

    Source: prctl(2), PR_SET_PDEATHSIG. Does nothing on other systems.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Replace this process with the named process of the plan."""
    plan_file, name = sys.argv[1:]
    process = json.loads(Path(plan_file).read_text())[name]
    parent = os.getppid()
    die_with_parent()
    if os.getppid() != parent:
        raise SystemExit("the process manager is gone")
    command = process["command"]
    os.execve(command[0], command, {**os.environ, **process["environment"]})  # noqa: S606


if __name__ == "__main__":
    main()
