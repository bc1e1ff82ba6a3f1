"""Waiting out what passes: overload, and other parts being away."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from landmarks.errors import DeadlineError, OverloadedError, UnavailableError

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")

PASSING = (OverloadedError, UnavailableError, DeadlineError)
_FIRST_SECONDS = 0.25
_LONGEST_SECONDS = 10.0


def pause_seconds(error: Exception, attempt: int, chance: float) -> float:
    """Return how long to wait after the `attempt`-th failure, from 0.

    Exponential with full jitter (`chance` is uniform in 0…1), so that waiting callers spread out;
    a server's own hint is the least.
    """
    longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(attempt, 16))
    hint = error.retry_after if isinstance(error, OverloadedError) else 0.0
    return hint + longest * chance


class Patience:
    """Repeats calls until they succeed, up to `bound_seconds` each, or until `stop` is set."""

    def __init__(self, bound_seconds: float, stop: threading.Event) -> None:
        self._bound = bound_seconds
        self._stop = stop

    @property
    def stopping(self) -> bool:
        """Whether nothing is waited for any more."""
        return self._stop.is_set()

    def wait_out(self, call: Callable[[], _Result]) -> _Result:
        """Return what `call` returns; its last error where it is one that did not pass."""
        begun = time.monotonic()
        attempt = 0
        while True:
            try:
                return call()
            except PASSING as error:
                pause = pause_seconds(error, attempt, random.random())  # noqa: S311
                if time.monotonic() + pause - begun > self._bound or self._stop.is_set():
                    raise
                if attempt in (0, 5) or attempt % 20 == 0:
                    _log.warning("waiting", reason=str(error), seconds=round(pause, 2))
            attempt += 1
            self._stop.wait(pause)
