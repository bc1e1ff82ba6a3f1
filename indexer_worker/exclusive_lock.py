"""Work that is done alone in its process, among work that is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Isolation:
    """A lock that many share, or one holds alone. Who wants it alone goes before the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._alone = False
        self._wanted_alone = 0

    @property
    def wanted_alone(self) -> int:
        """How many wait to hold it alone."""
        return self._wanted_alone

    @contextmanager
    def hold(self, *, alone: bool) -> Iterator[None]:
        """Hold the lock while the block runs."""
        self._take(alone=alone)
        try:
            yield
        finally:
            with self._changed:
                if alone:
                    self._alone = False
                else:
                    self._sharing -= 1
                self._changed.notify_all()

    def _take(self, *, alone: bool) -> None:
        with self._changed:
            if not alone:
                self._changed.wait_for(lambda: not self._alone and not self._wanted_alone)
                self._sharing += 1
                return
            self._wanted_alone += 1
            self._changed.wait_for(lambda: not self._alone and not self._sharing)
            self._wanted_alone -= 1
            self._alone = True
