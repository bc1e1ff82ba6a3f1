"""Zip files that stay open between reads, as reading the directory of one takes longest."""

from __future__ import annotations

import threading
import weakref
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from landmarks.photos.zip_names import readable_name

_MOST_OPEN = 4
# Of all that are open. A file in the directory of one takes about half a kilobyte.
_MOST_MEMBERS = 500_000


class Archive:
    """An open zip file. Safe to use from many threads."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
        except BaseException:
            file.close()
            raise
        self.members = len(self._zip.namelist())
        weakref.finalize(self, file.close)  # where it is still open when nobody has it any more
        self._lock = threading.Lock()
        self._users = 0
        self._unwanted = False

    def files(self) -> list[tuple[str, str]]:
        """Return the name of each file, and that name as its maker meant it, for people."""
        return [
            (one.filename, readable_name(one)) for one in self._zip.infolist() if not one.is_dir()
        ]

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a member; raises KeyError if there is none of that name."""
        with self._lock:  # opening and closing count the open members
            member = self._zip.open(name)
        try:
            yield member
        finally:
            with self._lock:
                member.close()

    @contextmanager
    def used(self) -> Iterator[Archive]:
        """Keep it open until the block ends."""
        with self._lock:
            self._users += 1
        try:
            yield self
        finally:
            with self._lock:
                self._users -= 1
            self._close_if_unwanted()

    def close(self) -> None:
        """Close it, once nobody uses it."""
        self._unwanted = True
        self._close_if_unwanted()

    def _close_if_unwanted(self) -> None:
        with self._lock:
            if self._unwanted and not self._users:
                self._zip.close()
                self._file.close()


class _Place:
    """Where one archive is kept: `archive` as it was in `version`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.version = ""
        self.archive: Archive | None = None

    @property
    def members(self) -> int:
        """How many members the archive has."""
        archive = self.archive
        return archive.members if archive else 0

    def empty(self) -> None:
        """Close the archive; call it with the lock held."""
        if self.archive is not None:
            self.archive.close()
        self.archive = None


class Archives:
    """Keeps the archives open that were used last. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: OrderedDict[str, _Place] = OrderedDict()

    @contextmanager
    def open(
        self, name: str, version: str, open_file: Callable[[], IO[bytes]]
    ) -> Iterator[Archive]:
        """Open an archive, or use it as it is open if it is still of this version.

        `version` changes with the file. Without one, as of some servers, none is kept open.
        """
        if not version:
            archive = Archive(open_file())
            with archive.used():
                archive.close()
                yield archive
            return
        with self._lock:
            place = self._places.setdefault(name, _Place())
            self._places.move_to_end(name)
        with ExitStack() as stack:
            with place.lock:  # opened once, however many threads wait for it
                if place.archive is None or place.version != version:
                    place.empty()
                    place.archive, place.version = Archive(open_file()), version
                archive = stack.enter_context(place.archive.used())
            self._close_some()
            yield archive

    def _close_some(self) -> None:
        """Close those that were used least lately, down to what may be open at once."""
        with self._lock:
            surplus: list[_Place] = []
            members = sum(place.members for place in self._places.values())
            while len(self._places) > 1 and (
                len(self._places) > _MOST_OPEN or members > _MOST_MEMBERS
            ):
                _, place = self._places.popitem(last=False)
                members -= place.members
                surplus.append(place)
        for place in surplus:
            with place.lock:
                place.empty()
