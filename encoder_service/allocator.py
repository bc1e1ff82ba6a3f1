"""Tunes glibc's allocator to keep large buffers for the next batch.

By default large buffers are returned to the system after each batch, and every page of them is
faulted in again. If a launcher sets any of glibc's own variables, nothing is changed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

_VARIABLES = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
# mallopt(3): the number and the value of each parameter.
_PARAMETERS = {
    "M_ARENA_MAX": (-8, 1),  # one heap for all threads: each reuses what another freed
    "M_MMAP_THRESHOLD": (-3, 1 << 30),
    "M_TRIM_THRESHOLD": (-1, (1 << 31) - 1),
}


def tune_allocator(environment: Mapping[str, str] = os.environ) -> bool:
    """Tune this process's allocator; return whether it was tuned. Call it before threads start."""
    if sys.platform != "linux" or any(name in environment for name in _VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library than glibc
        return False
    return all(mallopt(number, value) == 1 for number, value in _PARAMETERS.values())
