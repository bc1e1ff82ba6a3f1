"""One owner for a folder. Edge has no lock of its own that would refuse in time."""

from __future__ import annotations

import errno
import fcntl
import time
from pathlib import Path
from typing import IO

from landmarks.errors import ConfigurationError

_RETRY_SECONDS = 0.05


def lock(path: Path, wait_seconds: float = 0) -> IO[bytes]:
    """Lock a file for as long as the returned one is open; a process that dies lets go of it.

    Raises ConfigurationError where another process still holds it after `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() >= deadline:
                file.close()
                raise ConfigurationError(
                    f"{path.parent} is in use by another process: two servers must not open the"
                    " same data; stop the other one, or set LANDMARKS_EDGE_DATA_DIR"
                ) from error
            time.sleep(_RETRY_SECONDS)
        else:
            return file
