"""One shard process, from the inside: requests in, answers out, one after another.

It has its own process because every call into Edge holds Python's global lock.
"""

from __future__ import annotations

import os
import select
import socket
import time
import traceback
from contextlib import ExitStack
from pathlib import Path

from qdrant_client import grpc as q

from landmarks.edge_server.dir_lock import lock
from landmarks.edge_server.ipc import FAULT, REFUSAL, RESULT, read_request, write_answer
from landmarks.edge_server.shard import Shard
from landmarks.errors import LandmarksError
from landmarks.rpc.status import status_of

_IDLE_SECONDS = 1.0
_FLUSH_SECONDS = 10.0
_OPTIMIZING_NICENESS = 10
_LOCK_SECONDS = 10.0  # for a predecessor that is being killed to end


class ShardProcess:
    """Serves one shard over a socket until the other end is closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._shard: Shard | None = None
        self._lock = ExitStack()
        self._flushed_at = time.monotonic()

    def run(self) -> None:
        """Serve until the server has closed the connection."""
        while True:
            ready, _, _ = select.select([self._connection], [], [], _IDLE_SECONDS)
            self._flush_if_due(idle=not ready)
            if not ready:
                continue
            request = read_request(self._connection)
            if request is None:
                return
            try:
                answer = self._handle(*request)
            except LandmarksError as error:
                write_answer(self._connection, REFUSAL, status_of(error).SerializeToString())
            except Exception:  # noqa: BLE001 - the server logs it
                write_answer(self._connection, FAULT, traceback.format_exc().encode())
            else:
                write_answer(self._connection, RESULT, answer)

    def _handle(self, method: str, payload: bytes) -> bytes:
        if method in ("create", "load"):
            path, _, config = payload.partition(b"\0")
            shard = self._open(Path(path.decode()), q.CreateCollection.FromString(config), method)
            return f"{os.getpid()} {shard.problem}".encode()
        if self._shard is None:
            raise RuntimeError(f"{method} before a shard was opened")
        match method:
            case "info":
                return self._shard.info().SerializeToString()
            case "flush":
                self._shard.flush()
                return b""
            case "optimize":
                os.nice(_OPTIMIZING_NICENESS)  # searches come first
                self._shard.optimize()
                return b""
            case "close":
                self._close()
                return b""
            case _:
                return self._shard.handle(method, payload)

    def _open(self, path: Path, config: q.CreateCollection, method: str) -> Shard:
        self._lock.enter_context(lock(path.with_suffix(".lock"), _LOCK_SECONDS))
        if method == "create":
            self._shard = Shard.create(path, config)
        else:
            self._shard = Shard.load(path, config)
        return self._shard

    def _close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        self._lock.close()

    def _flush_if_due(self, *, idle: bool) -> None:
        if self._shard is None or not self._shard.unflushed:
            return
        if idle or time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
            self._shard.flush()
            self._flushed_at = time.monotonic()
