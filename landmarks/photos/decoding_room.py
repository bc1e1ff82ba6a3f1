"""The memory that photos take while they are decoded, bounded for all threads of a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from landmarks.photos.limits import DEFAULT_MAX_DECODING_BYTES

# Photos below it are bounded by the number of threads, and never wait.
_SMALL_BYTES = 64_000_000


class DecodingRoom:
    """Lets large photos in while there is room for them; one larger than all of it goes alone."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0
        self._changed = threading.Condition()
        # The one that waits for room keeps this, so that no stream of others passes it by.
        self._turn = threading.Lock()

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Hold so many bytes for the block, once there is room."""
        if size <= _SMALL_BYTES:
            yield
            return
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + size <= self._most)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()


# Of the whole process, whichever service it is.
DECODING_ROOM = DecodingRoom(DEFAULT_MAX_DECODING_BYTES)
