"""Locks on a data folder: one stack, and one backup or restore, at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from landmarks.errors import ConfigurationError


@contextmanager
def data_locked(
    data_dir: Path, name: str = "lock", holder: str = "another stack runs"
) -> Iterator[None]:
    """Hold a lock of a data folder until the block ends; the kernel frees it if the process dies.

    Child processes do not inherit it. `holder` says in the error who has the lock called `name`.
    Raises ConfigurationError where another process, or another caller in this one, holds it.
    """
    path = data_dir / "run" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not per thread: whichever thread stops a stack must release its lock.
    lock = FileLock(path, blocking=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigurationError(
            f"{holder} on {data_dir}; stop it, or choose another folder with --data-dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


def stack_runs(data_dir: Path) -> bool:
    """Return whether a stack runs on a data folder."""
    try:
        with data_locked(data_dir):
            return False
    except ConfigurationError:
        return True
