"""What the process manager says: kept in memory and, as far as the disk has room, in a file."""

from __future__ import annotations

import logging
import re
import threading
from collections import defaultdict, deque
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

_BYTES, _BACKUPS = 2_000_000, 2
_LAST_LINES = 12
_EXITED = re.compile(r"exited: (?P<name>\S+) \((?P<how>.+?); (?:not )?expected\)")
_NOT_SPAWNED = re.compile(r"(?P<how>spawnerr: .*?'(?P<name>[^']+)'.*)")


class ManagerLog:
    """Reads the manager's output, so that it never waits for a reader nor for a disk."""

    def __init__(self, path: Path) -> None:
        self._file = _QuietFile(path, maxBytes=_BYTES, backupCount=_BACKUPS, delay=True)
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._exits: defaultdict[str, list[str]] = defaultdict(list)
        self._reader: threading.Thread | None = None

    def read(self, output: IO[bytes]) -> None:
        """Read a manager's output to its end, in a thread."""
        self._last.clear()
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                self._last.append(line)
                if found := _EXITED.search(line) or _NOT_SPAWNED.search(line):
                    self._exits[found["name"]].append(found["how"])
                self._file.emit(logging.makeLogRecord({"msg": line}))
        self._file.close()  # the next manager's first line opens it again

    def last_words(self) -> str:
        """Return the last lines; of a manager that has ended, all there are."""
        if self._reader is not None:
            self._reader.join(1)
        return "\n".join(list(self._last))

    def exits(self, name: str) -> list[str]:
        """Return how each process of a name has ended so far, such as "exit status 1"."""
        return list(self._exits[name])


class _QuietFile(RotatingFileHandler):
    """A log file whose failures are nobody's business: the lines are kept in memory too."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Leave the line out."""
