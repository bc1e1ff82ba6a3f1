"""A collection that is being served: its shard's process, restarted when it has died."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from qdrant_client import grpc as q

from landmarks.edge_server import schema
from landmarks.edge_server.fork_server import ForkServer
from landmarks.edge_server.room import Room
from landmarks.edge_server.services.methods import WRITES
from landmarks.edge_server.shard_client import ShardClient, died
from landmarks.errors import (
    DamagedError,
    DiskFullError,
    LandmarksError,
    OverloadedError,
    UnavailableError,
)

_log = structlog.get_logger(__name__)

# What could not be loaded may be repaired, or have room again: calls try it, but not each of them.
_LOAD_AGAIN_SECONDS = 5.0
_DIES_AT_MOST = 3
# These make room, in the end, and need little of what is kept free.
_FREEING = ("Delete", "DeletePayload", "ClearPayload", "DeleteFieldIndex")


class ServedCollection:
    """Passes requests to the process of one shard. Use it from one event loop."""

    def __init__(
        self, path: Path, config: q.CreateCollection, fork_server: ForkServer, room: Room
    ) -> None:
        self.path = path
        self.config = config
        self.optimizing = False
        """Whether an index is being built on a copy."""
        self.settled = False  # a build that the last run did not complete is still due
        """Whether nothing was written since an index was last considered."""
        self.written_at = time.monotonic()
        self.load_failure = ""
        """Why the shard cannot be loaded; empty while it is served."""
        self.problem = ""
        """What an operator should know of the shard, and what to do; empty if nothing is wrong."""
        self._failures = 0
        self._load_again_at = 0.0
        self._refusal = LandmarksError()
        self._closed = False
        self._fork_server = fork_server
        self._room = room
        self._host: ShardClient | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._writes = 0
        self._written = asyncio.Event()
        self._written.set()

    async def create(self) -> None:
        """Create the shard, in a new process."""
        self._host = await self.start("create", self.path)

    async def load(self) -> None:
        """Load the shard, in a new process. If that fails, calls are refused and try it again."""
        self._room.give_up_spare()
        try:
            self._host = await self.start("load", self.path)
        except (LandmarksError, RuntimeError, OSError) as error:
            self._failures += 1
            self._load_again_at = time.monotonic() + _LOAD_AGAIN_SECONDS
            if not self.load_failure:
                _log.error("a shard cannot be loaded", path=str(self.path), reason=str(error))
            self.load_failure, self._refusal = str(error), self._refusal_for(error)
            self.problem = str(self._refusal)
        else:
            if self.load_failure:
                _log.warning("a shard that could not be loaded is served", path=str(self.path))
            self.load_failure, self._failures = "", 0

    def _refusal_for(self, error: Exception) -> LandmarksError:
        """Return the error for callers while the shard cannot be loaded."""
        if isinstance(error, OverloadedError):
            return error
        if isinstance(error, UnavailableError):  # its process died
            if full := self._room.problem:
                return DiskFullError(f"{self.path.name} cannot be loaded: {full}")
            if self._failures < _DIES_AT_MOST:
                return error
        name = self.config.collection_name
        return DamagedError(
            f"the collection {name} in {self.path} cannot be loaded: {error}; all others are"
            " served. Restore a backup, or delete it (`landmarks collections --drop"
            f" {name}`) and index its sources again"
        )

    async def start(self, method: str, path: Path) -> ShardClient:
        """Start a process that creates or loads the shard in a folder, and return it."""
        host = await ShardClient.start(self._fork_server)
        try:
            problem = await host.open(method, path, self.config)
        except BaseException:
            await host.discard()
            raise
        if problem and problem != self.problem:
            _log.error("a shard is damaged", path=str(path), problem=problem)
        self.problem = problem
        return host

    async def call(self, method: str, payload: bytes = b"") -> bytes:
        """Send a request to the shard's process; raises what the request raises there."""
        if method in WRITES:
            return await self._write(method, payload)
        await self._open.wait()
        return await (await self.host()).call(method, payload)

    async def _write(self, method: str, payload: bytes) -> bytes:
        while not (self._open.is_set() and self._writable.is_set()):
            await self._open.wait()
            await self._writable.wait()
        self._writes += 1
        self._written.clear()
        try:
            if method not in _FREEING:
                self._room.require(len(payload))
            host = await self.host()
            self.settled = False
            self.written_at = time.monotonic()
            return await host.call(method, payload)
        finally:
            self._writes -= 1
            if not self._writes:
                self._written.set()

    async def info(self) -> q.CollectionInfo:
        """Return what Qdrant reports of a collection.

        Yellow means that an index is due or being built; red that the shard is damaged or cannot be
        loaded, and the optimizer's error says what to do.
        """
        try:
            info = q.CollectionInfo.FromString(await self.call("info"))
            self.problem = info.optimizer_status.error
        except (DamagedError, OverloadedError):
            if not self.load_failure:
                raise
            info = q.CollectionInfo()
        due = not self.settled and schema.index_is_due(self.config, info)
        if self.problem:
            info.status = q.Red
        else:
            info.status = q.Yellow if self.optimizing or due else q.Green
        problem = self.problem or self._room.problem
        info.optimizer_status.ok = not problem
        info.optimizer_status.error = problem
        info.config.CopyFrom(schema.collection_config(self.config))
        return info

    async def host(self) -> ShardClient:
        """Return the process of the shard; one that has died is replaced.

        Raises DamagedError, DiskFullError or UnavailableError while it cannot be loaded.
        """
        while self._host is None or self._host.gone:
            if self._closed:
                raise RuntimeError("the collection is closed")
            if self.load_failure and time.monotonic() < self._load_again_at:
                raise type(self._refusal)(str(self._refusal))
            # Loading goes on if the first caller's deadline passes: all wait for the same one.
            if self._reloading is None:
                self._reloading = asyncio.create_task(self._reload())
            await asyncio.shield(self._reloading)
        return self._host

    async def _reload(self) -> None:
        if self._host is not None:
            _log.warning("a shard's process is restarted", path=str(self.path))
        try:
            if self._host is not None:
                await self._host.discard()  # our end of the connection is still open
                self._host = None
            await self.load()
        finally:
            self._reloading = None

    def pause(self) -> None:
        """Make new requests wait until `resume`."""
        self._open.clear()

    def resume(self) -> None:
        """Let requests through again."""
        self._open.set()

    @asynccontextmanager
    async def files_at_rest(self) -> AsyncIterator[Path]:
        """Yield the shard's folder, flushed and with no writes; reads go on.

        New writes wait until the block ends. Raises UnavailableError if the shard's process died
        meanwhile: its successor writes what it finds in the log. A shard that cannot be loaded is
        left as it is until the block ends.
        """
        if self.load_failure:
            await self._loaded()
            self.pause()
            try:
                yield self.path
            finally:
                self.resume()
            return
        self._writable.clear()
        try:
            await self._written.wait()
            host = await self.host()
            await host.call("flush")
            yield self.path
            if host.gone:
                raise died()
        finally:
            self._writable.set()

    def replace_host(self, host: ShardClient, path: Path) -> None:
        """Serve from another process and folder from now on; the caller ends the old one."""
        self._host, self.path = host, path

    async def close(self) -> None:
        """Flush, and end the process."""
        self._closed = True
        await self._loaded()
        host, self._host = self._host, None
        if host is not None:
            await host.stop()

    async def discard(self) -> None:
        """End the process without writing what is in memory: the collection is deleted."""
        self._closed = True
        await self._loaded()
        host, self._host = self._host, None
        if host is not None:
            await host.discard()

    async def _loaded(self) -> None:
        """Wait until no process is being started, which would stay."""
        if self._reloading is not None:
            await asyncio.wait([self._reloading])
