"""glibc's allocator, told to keep what torch will ask for again with the next batch.

By default large buffers go back to the system after each batch, and every page of them is faulted
in anew. A launcher that sets any of glibc's own variables decides alone: nothing is then changed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

_VARIABLES = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
# mallopt(3): the number of each parameter, and what it is set to.
_PARAMETERS = {
    "M_ARENA_MAX": (-8, 1),  # one heap for all threads: what one has freed serves the next
    "M_MMAP_THRESHOLD": (-3, 1 << 30),
    "M_TRIM_THRESHOLD": (-1, (1 << 31) - 1),
}


def tune_allocator(environment: Mapping[str, str] = os.environ) -> bool:
    """Tune this process's allocator, and say whether it was. Call it before threads start."""
    if sys.platform != "linux" or any(name in environment for name in _VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library than glibc
        return False
    return all(mallopt(number, value) == 1 for number, value in _PARAMETERS.values())
