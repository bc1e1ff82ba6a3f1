"""One owner for a data folder. Edge's own check comes too late: a second open breaks the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from landmarks.errors import ConfigurationError


@contextmanager
def lock(path: Path, wait_seconds: float = 0) -> Iterator[None]:
    """Hold an exclusive lock on a file, which stays; the kernel releases it if the process dies.

    Raises ConfigurationError if another process still holds it after `wait_seconds`.
    """
    # Without flock, filelock would fall back to a lock file that survives a killed process.
    held = FileLock(path, fallback_to_soft=False)
    try:
        held.acquire(timeout=wait_seconds)
    except Timeout as error:
        raise ConfigurationError(
            f"{path.parent} is in use by another process: two servers must not open the same data;"
            " stop the other one, or set LANDMARKS_EDGE_DATA_DIR"
        ) from error
    try:
        yield
    finally:
        held.release()
