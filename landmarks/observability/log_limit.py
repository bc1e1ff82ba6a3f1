"""A limit on log lines of which strangers could cause any number."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = 60.0
_LINES = 60


@dataclass
class _Window:
    begun: float
    lines: int = 0
    left_out: int = 0


class RepeatLimit(logging.Filter):
    """Passes each event of a logger 60 times a minute.

    The first line after that says in `left_out` how many there were between.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is logged."""
        words = record.msg  # a dict, if structlog has made it
        # What is logged without arguments may differ each time, and would be an event each time.
        event = str(words["event"] if isinstance(words, dict) else words)[:40]
        now = self._clock()
        window = self._windows.setdefault((record.name, event), _Window(now))
        if now >= window.begun + _SECONDS:
            if window.left_out and isinstance(words, dict):
                words["left_out"] = window.left_out
            elif window.left_out:
                record.left_out = window.left_out
            window.begun, window.lines, window.left_out = now, 0, 0
        window.lines += 1
        if window.lines <= _LINES:
            return True
        window.left_out += 1
        return False
