"""Gives back memory that the engine no longer needs.

The engine maps its files. Those that it only appends to, or has read to its end at start, stay in
its memory as far as they were touched: a log of a hundred megabytes, and files of empty indexes
that are read in advance. The pages stay in the system's cache, which may drop them; who needs one
again finds it.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_MADV_DONTNEED = 4
# Shared mappings only: what was written to a private one would be lost.
_SHARED = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ..[-x]s \S+ \S+ \d+ +(/.*)")


def give_back(folder: Path) -> None:
    """Unmap what was read of the log and of the indexes that are only written to."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _regions(folder.resolve()):
        libc.madvise(start, end - start, _MADV_DONTNEED)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _regions(folder: Path) -> Iterator[tuple[int, int]]:
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        found = _SHARED.fullmatch(line)
        if found is None:
            continue
        path = Path(found[3])
        if path.is_relative_to(folder) and _is_only_written(path):
            yield int(found[1], 16), int(found[2], 16)


def _is_only_written(path: Path) -> bool:
    written = ("page_*.dat", "tracker.dat")
    return path.parent.name == "wal" or any(path.match(f"payload_index/*/{one}") for one in written)
