"""One owner for a data folder. Edge's own check comes too late: a second open breaks the first."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landmarks.errors import ConfigurationError

_LOOK_SECONDS = 0.05


@contextmanager
def lock(path: Path, wait_seconds: float = 0) -> Iterator[None]:
    """Hold an exclusive lock on a file, which stays; the kernel releases it if the process dies.

    Raises ConfigurationError if another process still holds it after `wait_seconds`.
    """
    # Not filelock: it imports asyncio, and each shard's process would keep that in memory.
    path.parent.mkdir(parents=True, exist_ok=True)
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(held, path, time.monotonic() + wait_seconds)
        try:
            yield
        finally:
            fcntl.flock(held, fcntl.LOCK_UN)  # closing is not enough if a child has it too
    finally:
        os.close(held)


def _acquire(held: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise ConfigurationError(
                    f"{path.parent} is in use by another process: two servers must not open the"
                    " same data; stop the other one, or set LANDMARKS_EDGE_DATA_DIR"
                ) from error
            time.sleep(_LOOK_SECONDS)
        else:
            return
