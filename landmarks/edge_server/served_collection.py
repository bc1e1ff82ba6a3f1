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
from landmarks.edge_server.services.methods import WRITES
from landmarks.edge_server.shard_client import ShardClient, died

_log = structlog.get_logger(__name__)


class ServedCollection:
    """Passes requests to the process of one shard. Use it from one event loop."""

    def __init__(self, path: Path, config: q.CreateCollection, fork_server: ForkServer) -> None:
        self.path = path
        self.config = config
        self.optimizing = False
        """Whether an index is being built on a copy."""
        self.settled = False  # a build that the last run did not complete is still due
        """Whether nothing was written since an index was last considered."""
        self.written_at = time.monotonic()
        self._fork_server = fork_server
        self._host: ShardClient | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._writes = 0
        self._written = asyncio.Event()
        self._written.set()

    async def open(self, method: str) -> None:
        """Create or load the shard ("create", "load") in a new process."""
        self._host = await self.start(method, self.path)

    async def start(self, method: str, path: Path) -> ShardClient:
        """Start a process that creates or loads the shard in a folder, and return it."""
        host = await ShardClient.start(self._fork_server)
        try:
            await host.open(method, path, self.config)
        except BaseException:
            await host.discard()
            raise
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

        Yellow means that an index is due or being built.
        """
        info = q.CollectionInfo.FromString(await self.call("info"))
        due = not self.settled and schema.index_is_due(self.config, info)
        info.status = q.Yellow if self.optimizing or due else q.Green
        info.optimizer_status.ok = True
        info.config.CopyFrom(schema.collection_config(self.config))
        return info

    async def host(self) -> ShardClient:
        """Return the process of the shard; one that has died is replaced."""
        while self._host is not None and self._host.gone:
            # Loading goes on if the first caller's deadline passes: all wait for the same one.
            if self._reloading is None:
                self._reloading = asyncio.create_task(self._reload())
            await asyncio.shield(self._reloading)
        if self._host is None:
            raise RuntimeError("the collection is closed")
        return self._host

    async def _reload(self) -> None:
        _log.warning("a shard's process is restarted", path=str(self.path))
        try:
            if self._host is not None:
                await self._host.discard()  # our end of the connection is still open
            await self.open("load")
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
        meanwhile: its successor writes what it finds in the log.
        """
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
        await self._loaded()
        host, self._host = self._host, None
        if host is not None:
            await host.stop()

    async def discard(self) -> None:
        """End the process without writing what is in memory: the collection is deleted."""
        await self._loaded()
        host, self._host = self._host, None
        if host is not None:
            await host.discard()

    async def _loaded(self) -> None:
        """Wait until no process is being started, which would stay."""
        if self._reloading is not None:
            await asyncio.wait([self._reloading])
