"""Ending a process together with what it started in its group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

_GROUP_ENDS_SECONDS = 2


def end_group(process: subprocess.Popen[bytes], timeout_seconds: float) -> None:
    """End the group that `process` leads: SIGTERM, then SIGKILL for what is left.

    Waits `timeout_seconds` for the process, then 2 s for the rest of its group, which may outlive
    it. The process must have been started with `start_new_session=True`.
    """
    _signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout_seconds)
    deadline = time.monotonic() + _GROUP_ENDS_SECONDS
    while _signal_group(process.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: int) -> bool:
    """Return whether the group still had a process to receive the signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS denies it where all are zombies
        return False
    return True
