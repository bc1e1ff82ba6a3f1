"""Searches that go on while something happens, and how many of them failed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from tests.support.processes import eventually

_PAUSE_SECONDS = 0.05
_SECONDS = 20.0


@dataclass
class Searching:
    """Searches one gallery again and again, in a thread: `with Searching(…) as searching`."""

    target: str
    gallery: str
    photo: bytes
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    longest_seconds: float = 0.0
    """The longest time without an answer."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def row(self) -> str:
        """A line of the table that the tests report."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items()))
        return (
            f"{self.answered + self.failed:5d} searches, {self.failed:3d} failed, longest gap"
            f" {self.longest_seconds:5.2f} s{f' ({kinds})' if kinds else ''}"
        )

    def await_more(self, count: int) -> None:
        """Wait until so many more searches have come to an end."""
        before = self.answered + self.failed
        eventually(lambda: self.answered + self.failed >= before + count, "searches go on")

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._search, name="searching")
        self._thread.start()
        self.await_more(1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def _search(self) -> None:
        with Landmarks(self.target) as client:
            last = time.monotonic()
            while not self._stop.wait(_PAUSE_SECONDS):
                try:
                    answer = client.search(photo=self.photo, gallery=self.gallery, timeout=_SECONDS)
                except LandmarksError as error:
                    self.failures[type(error).__name__] += 1
                    continue
                now = time.monotonic()
                if answer.fused:
                    self.answered += 1
                    self.longest_seconds = max(self.longest_seconds, now - last)
                    last = now
                else:
                    self.failures["no hits"] += 1
