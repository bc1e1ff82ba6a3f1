"""One shard process, from the inside: requests in, answers out, one after another.

It has its own process because every call into Edge holds Python's global lock.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time
import traceback
from contextlib import ExitStack
from pathlib import Path

from qdrant_client import grpc as q

from landmarks.edge_server.dir_lock import lock
from landmarks.edge_server.ipc import FAULT, REFUSAL, RESULT, read_request, refusal, write_answer
from landmarks.edge_server.mapped_files import give_back
from landmarks.edge_server.no_room import is_for_lack_of_room
from landmarks.edge_server.shard import Shard
from landmarks.errors import DiskFullError, LandmarksError

_IDLE_SECONDS = 1.0
_FLUSH_SECONDS = 10.0
_OPTIMIZING_NICENESS = 10
_LOCK_SECONDS = 10.0  # for a predecessor that is being killed to end


class ShardProcess:
    """Serves one shard over a socket until the other end is closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._shard: Shard | None = None
        self._folder = Path()
        self._lock = ExitStack()
        self._flushed_at = time.monotonic()
        self._flush_failure = ""

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
                self._refuse(error)
            except Exception as error:  # noqa: BLE001 - the server logs it
                if is_for_lack_of_room(str(error)):
                    self._refuse(DiskFullError(f"the disk of the vectors is full: {error}"))
                else:
                    write_answer(self._connection, FAULT, traceback.format_exc().encode())
            else:
                write_answer(self._connection, RESULT, answer)

    def _refuse(self, error: LandmarksError) -> None:
        write_answer(self._connection, REFUSAL, refusal(error))

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
            give_back(path)
        self._folder = path
        return self._shard

    def _close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        self._lock.close()

    def _flush_if_due(self, *, idle: bool) -> None:
        if self._shard is None or not self._shard.unflushed:
            return
        since = time.monotonic() - self._flushed_at
        if since > _FLUSH_SECONDS or (idle and not self._flush_failure):
            self._flushed_at = time.monotonic()
            try:
                self._shard.flush()
            except Exception as error:  # noqa: BLE001 - the log has it, and it is tried again
                if str(error) != self._flush_failure:
                    with contextlib.suppress(OSError):
                        sys.stderr.write(f"a shard could not be flushed: {error}\n")
                self._flush_failure = str(error)
            else:
                self._flush_failure = ""
                give_back(self._folder)
