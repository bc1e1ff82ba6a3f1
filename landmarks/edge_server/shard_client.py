"""One shard process, seen from the server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from pathlib import Path

import structlog
from qdrant_client import grpc as q

from landmarks.edge_server.answer_reader import AnswerReader
from landmarks.edge_server.fork_server import ForkServer
from landmarks.edge_server.ipc import FAULT, REFUSAL, refused, request_frame
from landmarks.edge_server.services.methods import WRITES
from landmarks.errors import LandmarksError, UnavailableError

_log = structlog.get_logger(__name__)

# One is being carried out while the next is on its way; the rest wait here, where the request of a
# caller that has left can still be dropped.
_IN_FLIGHT = 2
_MAX_JOURNAL_BYTES = 256 * 1024 * 1024


class ShardClient:
    """Sends requests to a shard process and matches the answers, which come in order."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self.journal: list[tuple[str, bytes]] | None = None
        """The writes that were sent since `begin_journal`, in order, for a copy to catch up.

        None if there is no copy, or if too much was written to repeat.
        """
        self._journal_bytes = 0
        self._process = 0
        self.gone = False
        """Whether the process has ended."""
        self._ending = False
        self._ended = asyncio.Event()

    @classmethod
    async def start(cls, fork_server: ForkServer) -> ShardClient:
        """Start a process; it has no shard yet."""
        return await cls.over(fork_server.fork())

    @classmethod
    async def over(cls, connection: socket.socket) -> ShardClient:
        """Return the client of the process at the other end of a connection."""
        client = cls()
        client._transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: AnswerReader(client._settle, client._lost), sock=connection
        )
        return client

    async def open(self, method: str, path: Path, config: q.CreateCollection) -> str:
        """Create or load ("create", "load") the shard in a folder.

        Return what is wrong with it, if it can be served all the same; empty if nothing is.
        """
        payload = bytes(path) + b"\0" + config.SerializeToString()
        process, _, problem = (await self.call(method, payload)).decode().partition(" ")
        self._process = int(process)
        return problem

    async def call(self, method: str, payload: bytes = b"") -> bytes:
        """Send one request to the process and return the answer's bytes.

        Raises what the request raised there, and UnavailableError if the process has died.
        """
        self._calls += 1
        self._idle.clear()
        try:
            return await self._call(method, payload)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def _call(self, method: str, payload: bytes) -> bytes:
        await self._slots.acquire()
        if self.gone or self._ending:
            self._slots.release()
            raise died()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._record(method, payload)
        self._transport.write(request_frame(method, payload))
        return await answer

    def begin_journal(self) -> None:
        """Record the writes from now on."""
        self.journal, self._journal_bytes = [], 0

    def _record(self, method: str, payload: bytes) -> None:
        if self.journal is not None and method in WRITES:
            self.journal.append((method, payload))
            self._journal_bytes += len(payload)
            if self._journal_bytes > _MAX_JOURNAL_BYTES:
                self.journal = None

    async def drained(self) -> None:
        """Wait until every request sent has been carried out."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Close the shard, if it has one, and end the process."""
        if not self.gone:
            try:
                await self.call("close")
            except (LandmarksError, RuntimeError):
                _log.exception("a shard could not be closed in order")
        await self.discard()

    async def kill(self) -> None:
        """Kill the process at once."""
        if not self.gone and self._process:
            os.kill(self._process, signal.SIGKILL)
        await self.discard()

    async def discard(self) -> None:
        """End the process after its present request, without a flush, and wait for its end."""
        if not (self.gone or self._ending):
            self._transport.write_eof()
        self._ending = True  # requests that still wait are not sent
        await self._ended.wait()
        self._transport.close()

    def _settle(self, kind: bytes, payload: bytes) -> None:
        answer = self._answered()
        fault = payload.decode() if kind == FAULT else ""
        if fault:
            _log.error("a shard process failed at a request", fault=fault)
        if answer.cancelled():  # its caller has left
            return
        if kind == REFUSAL:
            _fail(answer, refused(payload))
        elif fault:
            _fail(answer, RuntimeError(fault.rstrip().rpartition("\n")[2]))
        else:
            answer.set_result(payload)

    def _lost(self) -> None:
        self.gone = True
        while self._waiting:
            answer = self._answered()
            if not answer.cancelled():
                _fail(answer, died())
        self._ended.set()

    def _answered(self) -> asyncio.Future[bytes]:
        # The slot is kept until here, even if the caller leaves before: the process was busy.
        self._slots.release()
        return self._waiting.popleft()


def died() -> UnavailableError:
    """Return the error of a call whose shard process has died."""
    return UnavailableError("the process of the collection has died; it is being restarted")


def _fail(answer: asyncio.Future[bytes], error: Exception) -> None:
    answer.set_exception(error)
    answer.exception()  # retrieved, in case the caller leaves right now
