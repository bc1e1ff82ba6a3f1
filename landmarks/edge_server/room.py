"""Room on the data's disk: writes stop before it is full, and reads never need any.

The engine maps files with holes in them. Where the disk has no block for a hole, the kernel kills
the process that writes to it (SIGBUS), and its successors while they repeat that write. So writes
are refused while there is still some room, and a file of spare room is given up where even that is
gone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from landmarks.edge_server.no_room import NO_ROOM
from landmarks.errors import DiskFullError

_log = structlog.get_logger(__name__)

_SPARE_FILE = "spare.room"
_MB = 1024 * 1024
# What is kept free: enough for all that is under way, and little of any disk.
_KEPT_SHARE, _KEPT_LEAST, _KEPT_MOST = 0.05, 4 * _MB, 64 * _MB


class Room:
    """How much room the data's disk has."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._spare = directory / _SPARE_FILE
        self._was_full = False

    def require(self, size: int = 0) -> None:
        """Raise DiskFullError unless `size` bytes can be written and the usual rest stays free."""
        free, total = self._free_and_total()
        kept = _kept(total)
        if free >= kept + size:
            return
        more = f" and a copy of {_megabytes(size)}" if size > kept else ""
        raise DiskFullError(
            f"the disk of {self._directory} is full: {_megabytes(free)} of {_megabytes(total)} are"
            f" free, and {_megabytes(kept)} must stay free{more}. Searches go on, writes wait; make"
            " room there, such as by `landmarks collections --drop` or by moving the data"
        )

    @property
    def problem(self) -> str:
        """Why nothing can be written now; empty if there is room."""
        try:
            self.require()
        except DiskFullError as error:
            return str(error)
        return ""

    def give_up_spare(self) -> None:
        """Free the spare room, if there is no other: to load a shard, or to delete one."""
        if self.problem and self._spare.exists():
            _log.warning("the spare room is given up", path=str(self._spare))
            self._spare.unlink(missing_ok=True)

    def watch(self) -> None:
        """Say once that the disk is full, and that it is not; keep spare room while there is room.

        To be called every few seconds.
        """
        problem = self.problem
        if bool(problem) != self._was_full:
            self._was_full = bool(problem)
            if problem:
                _log.error("the disk is full", reason=problem)
            else:
                _log.warning("the disk has room again")
        free, total = self._free_and_total()
        if not self._spare.exists() and free >= 3 * _kept(total):
            with contextlib.suppress(OSError), self._spare.open("wb") as spare:
                os.posix_fallocate(spare.fileno(), 0, _kept(total))

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Turn an error of the system for lack of room into DiskFullError."""
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                raise DiskFullError(self.problem or f"no room on the disk: {error}") from error
            raise

    def _free_and_total(self) -> tuple[int, int]:
        found = os.statvfs(self._directory)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def taken_by(folder: Path) -> int:
    """Return how many bytes of disk a folder's files take, holes left out.

    What an engine removes meanwhile takes none.
    """
    taken = 0
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                taken += Path(parent, name).stat().st_blocks * 512
    return taken


def _kept(total: int) -> int:
    return int(min(max(total * _KEPT_SHARE, _KEPT_LEAST), _KEPT_MOST))


def _megabytes(size: int) -> str:
    return f"{size / _MB:,.0f} MB"
