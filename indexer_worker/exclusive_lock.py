"""A shared and exclusive lock within a process, for work that may kill the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedExclusiveLock:
    """Many hold it shared, or one exclusively. Those that wait for it exclusively go first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shared = 0
        self._exclusive = False
        self._exclusive_waiting = 0

    @property
    def exclusive_waiting(self) -> int:
        """How many wait to hold it exclusively."""
        return self._exclusive_waiting

    @contextmanager
    def hold(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the lock while the block runs."""
        self._take(exclusive=exclusive)
        try:
            yield
        finally:
            with self._changed:
                if exclusive:
                    self._exclusive = False
                else:
                    self._shared -= 1
                self._changed.notify_all()

    def _take(self, *, exclusive: bool) -> None:
        with self._changed:
            if not exclusive:
                self._changed.wait_for(lambda: not self._exclusive and not self._exclusive_waiting)
                self._shared += 1
                return
            self._exclusive_waiting += 1
            self._changed.wait_for(lambda: not self._exclusive and not self._shared)
            self._exclusive_waiting -= 1
            self._exclusive = True
