"""What a server keeps in RAM, with all the processes that it has started."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1024**2
_EVERY_SECONDS = 0.5


def resident_bytes_of_group(group: int) -> int:
    """Return what the processes of a group have in RAM; pages that they share count once.

    Mapped files count as far as they are in RAM. 0 where the system does not say.
    """
    return sum(_bytes(process, "Pss") for process in _members(group))


def resident_sum_of_group(group: int) -> int:
    """Return the sum of what each process has in RAM; shared pages count once in each."""
    return sum(_bytes(process, "Rss") for process in _members(group))


@dataclass
class Peak:
    """The most that was seen, in bytes."""

    bytes: int = 0


@contextlib.contextmanager
def peak_of_group(group: int) -> Iterator[Peak]:
    """Watch what a group of processes has in RAM, while the block runs."""
    peak, stop = Peak(), threading.Event()

    def watch() -> None:
        while not stop.wait(_EVERY_SECONDS):
            peak.bytes = max(peak.bytes, resident_bytes_of_group(group))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peak
    finally:
        stop.set()
        watching.join()
        peak.bytes = max(peak.bytes, resident_bytes_of_group(group))


def disk_bytes(folder: Path) -> int:
    """Return what the files below a folder take on the disk, holes left out."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_blocks * 512
    return total


def _members(group: int) -> list[Path]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(stat.read_text().rpartition(")")[2].split()[2]) == group:
                found.append(stat.parent)
    return found


def _bytes(process: Path, field: str) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    of_field = (int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
    return 1024 * next(of_field, 0)
