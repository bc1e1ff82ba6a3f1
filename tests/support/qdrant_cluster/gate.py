"""A port in front of a server that can be closed, and silenced, as that of a dead process is."""

from __future__ import annotations

import asyncio
import contextlib
import socket

_BYTES = 65_536


class Gate:
    """Forwards the connections of one port to another. Use it from one event loop."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        # Nobody else gets the port while it is closed: Linux gives away none that is bound, and
        # lets a server listen there all the same, as both allow the address to be reused.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", port))

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Refuse connections from now on, and end those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        ended = list(self._connections)
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)

    def silence(self) -> None:
        """Accept connections and forward nothing, as a process that SIGSTOP has stopped."""
        self._forwarding.clear()

    def speak(self) -> None:
        """Forward again, and what has come meanwhile too."""
        self._forwarding.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._forwarding.wait()
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._forward(reader, inner_writer))
                    both.create_task(self._forward(inner_reader, writer))
            finally:
                inner_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_BYTES):
                await self._forwarding.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
