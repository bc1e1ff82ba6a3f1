"""Returns memory to the system after large requests.

glibc keeps what was freed below anything still in use, so what a burst of large requests took would
stay for as long as the process runs.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
from collections.abc import Callable
from pathlib import Path

_EVERY_SECONDS = 5.0
# Growth that is not worth the pages that must be faulted in again.
_SLACK_BYTES = 32 * 1024 * 1024


class MemoryReturn:
    """Trims the heap when the process has grown since the last time."""

    def __init__(self) -> None:
        self._trim = _trim_function()
        self._resident = resident_bytes()

    async def run(self) -> None:
        """Check until cancelled; not at all with another C library than glibc."""
        while self._trim is not None:
            await asyncio.sleep(_EVERY_SECONDS)
            await asyncio.to_thread(self.check)

    def check(self) -> None:
        """Trim the heap if it is worth it."""
        if self._trim is None or resident_bytes() < self._resident + _SLACK_BYTES:
            return
        self._trim(0)
        self._resident = resident_bytes()


def resident_bytes() -> int:
    """Return how much memory the process occupies; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _trim_function() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return None
