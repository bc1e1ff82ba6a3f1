"""glibc's allocator, told to keep what torch will ask for again with the next batch.

By default large buffers go back to the system after each batch, and every page of them is faulted
in anew. The variables are read when a process starts, so the process starts itself again with
them. A launcher that sets any of them decides alone: nothing is then changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

ALLOCATOR = {
    # One heap for all threads: what one has freed serves the next.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
}


def tuned(environment: Mapping[str, str], platform: str) -> dict[str, str] | None:
    """Return the environment to start again with; None where there is nothing to change."""
    if platform != "linux" or any(name in environment for name in ALLOCATOR):
        return None
    return {**environment, **ALLOCATOR}


def restart_tuned() -> None:
    """Start this process again with a tuned allocator, if it is not; the process id stays."""
    if (environment := tuned(os.environ, sys.platform)) is not None:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606
