"""The server's end of a connection to a shard process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from landmarks.edge_server.ipc import LENGTH


class AnswerReader(asyncio.Protocol):
    """Cuts what a shard process sends into answers; calls `lost` once, when no more will come."""

    def __init__(self, answered: Callable[[bytes, bytes], None], lost: Callable[[], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._held = bytearray()

    def data_received(self, data: bytes) -> None:
        """Pass each complete answer on: its kind and its payload."""
        held = self._held
        held += data
        begin = 0
        while len(held) >= (body := begin + LENGTH.size):
            end = body + LENGTH.unpack_from(held, begin)[0]
            if len(held) < end:
                break
            self._answered(bytes(held[body : body + 1]), bytes(held[body + 1 : end]))
            begin = end
        del held[:begin]

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on."""
        del exc
        self._lost()
