"""How many points a shard had when it was last written to, to find at start what is missing.

Edge loads a shard whose file of ids was cut off without a word, and with fewer points.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

FILE = "points.count"
# The least count, which is lower while a write is carried out; and how many points are missing.
_RECORD = struct.Struct("<QQ")


class PointCount:
    """The count in a shard's folder, written in place before and after each write."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o644)
        self._low = self.missing = 0

    @classmethod
    def create(cls, folder: Path) -> PointCount:
        """Begin with no points; raises OSError."""
        count = cls(folder)
        count._write()
        return count

    @classmethod
    def load(cls, folder: Path, points: int) -> PointCount:
        """Compare what was recorded with the points that a shard has; raises OSError.

        Where nothing was recorded, as by an earlier version, it is from now on.
        """
        count = cls(folder)
        recorded = os.pread(count._file, _RECORD.size, 0)
        if len(recorded) == _RECORD.size:
            low, missing = _RECORD.unpack(recorded)
            count.missing = missing + max(0, low - points)
        count._low = points
        count._write()
        return count

    def expect(self, points: int, change: int) -> None:
        """Note that a write may remove up to `change` points: a crash may come in between."""
        self._low = max(0, points - change)
        self._write()

    def record(self, points: int, before: int) -> None:
        """Note how many points there are after a write. Those that it added may be missing ones."""
        self.missing = max(0, self.missing - max(0, points - before))
        self._low = points
        self._write()

    def close(self) -> None:
        """Make the count durable, and close the file."""
        os.fsync(self._file)
        os.close(self._file)

    def _write(self) -> None:
        os.pwrite(self._file, _RECORD.pack(self._low, self.missing), 0)
