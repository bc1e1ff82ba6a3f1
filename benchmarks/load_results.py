"""What a load client did, and what follows from it: rates, latencies, errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OK = "OK"


@dataclass(frozen=True)
class TimedCall:
    """A call: when it began and ended (seconds of the system's monotonic clock), and how.

    `code` is a gRPC status code by name; `photos` those that came back as vectors.
    """

    began: float
    ended: float
    code: str
    photos: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass(frozen=True)
class Window:
    """A stretch of time, in seconds of the system's monotonic clock."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin


@dataclass(frozen=True)
class Traffic:
    """All calls of a client, and the window of each of its phases, warm-up left out.

    `busy` is the share of each phase that the client computed: near 1 it is itself what is slow.
    """

    calls: Sequence[TimedCall]
    windows: Sequence[Window]
    busy: Sequence[float] = ()

    def rate(self, window: Window | None = None) -> float:
        """Return photos per second, each call's spread evenly over the time that it took.

        So a call of many photos counts for the part of it that lies within the window.
        """
        window = window or self.windows[0]
        photos = 0.0
        for call in self.calls:
            shared = min(call.ended, window.end) - max(call.began, window.begin)
            if call.photos and shared > 0:
                photos += call.photos * min(1.0, shared / max(call.seconds, 1e-9))
        return photos / window.seconds

    def completed_rate(self, window: Window) -> float:
        """Return photos per second by the end of their calls: what came out, whenever it began."""
        photos = sum(call.photos for call in self.calls if window.begin <= call.ended < window.end)
        return photos / window.seconds

    def p95(self, window: Window | None = None) -> float:
        """Return the 95th percentile, in seconds, of the calls begun in a window that succeeded.

        Raises ValueError for none.
        """
        took = [call.seconds for call in self._begun(window) if call.code == OK]
        if not took:
            raise ValueError("no call succeeded")
        return float(np.percentile(took, 95))

    def codes(self, window: Window | None = None) -> Counter[str]:
        """Return how the calls that began in a window ended."""
        return Counter(call.code for call in self._begun(window))

    def _begun(self, window: Window | None) -> list[TimedCall]:
        window = window or self.windows[0]
        return [call for call in self.calls if window.begin <= call.began < window.end]
