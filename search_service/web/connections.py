"""Accepts the page's connections, so that strangers cannot take the room of everybody.

A connection is a stranger's until a request on it has been admitted, and again between requests. A
stranger's connection lasts as long as there is room: the oldest is closed for the newest, first
among those of the same address. Time limits alone would let a client that opens connections fast
enough keep all others out.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from landmarks.security.proxies import TrustedProxies
from landmarks.security.rate_limit import client_at

_log = structlog.get_logger(__name__)

_HANDSHAKE_SECONDS = 10.0
# After the process ran out of file descriptors.
_PAUSE_SECONDS = 1.0
_LOG_SECONDS = 60.0
_LISTENING = 128


@dataclass(frozen=True)
class Room:
    """How many connections are held in all, and how many strangers' from one address."""

    connections: int
    of_one_address: int

    @staticmethod
    def of_this_process() -> Room:
        """Return what leaves file descriptors for all else that the process does."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        connections = 1024 if most == resource.RLIM_INFINITY else max(16, min(1024, most // 4))
        return Room(connections, max(8, connections // 8))


class _Held:
    """A connection, from its acceptance until its descriptor is free."""

    def __init__(self, connection: socket.socket, address: str) -> None:
        self.address = address
        self.client = client_at(address)
        self.admitted = 0  # requests that run
        self.transport: asyncio.Transport | None = None
        self._connection = connection
        self._greeting: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        return self._connection.fileno() >= 0

    def begin(
        self, make_protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> asyncio.Task[None]:
        """Do the TLS handshake, if there is one, and begin to serve."""
        self._greeting = task = asyncio.create_task(self._greet(make_protocol, tls))
        task.add_done_callback(self._greeted)
        return task

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self._greeting is not None:
            self._greeting.cancel()

    async def _greet(
        self, make_protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> None:
        with suppress(OSError):  # the caller left, speaks no TLS, or took too long
            self.transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                make_protocol,
                self._connection,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if tls else None,
            )

    def _greeted(self, task: asyncio.Task[None]) -> None:
        if self.transport is None:
            self._connection.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection of the page failed", exc_info=error)


class Connections:
    """The page's connections. Strangers' are not counted by address for a trusted proxy."""

    def __init__(
        self, room: Room, proxies: TrustedProxies, tls: ssl.SSLContext | None = None
    ) -> None:
        self._room = room
        self._proxies = proxies
        self._tls = tls
        self._held: list[_Held] = []  # oldest first
        self._greeting: set[asyncio.Task[None]] = set()
        self._logged = -_LOG_SECONDS

    @asynccontextmanager
    async def accepting(
        self, make_protocol: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> AsyncIterator[int]:
        """Accept connections until the block ends, and yield the port; raises OSError.

        `make_protocol` returns what serves a connection.
        """
        sockets = await _listening(host, port)
        tasks = [asyncio.create_task(self._accept(one, make_protocol)) for one in sockets]
        try:
            yield int(sockets[0].getsockname()[1])
        finally:
            for task in (*tasks, *self._greeting):
                task.cancel()
            await asyncio.gather(*tasks, *self._greeting, return_exceptions=True)
            for one in sockets:
                one.close()

    @asynccontextmanager
    async def admitted(self, transport: asyncio.BaseTransport | None) -> AsyncIterator[None]:
        """Let a connection stay while the block runs, as its caller has a right to an answer."""
        held = next((one for one in self._held if one.transport is transport), None)
        if held is None:
            yield
            return
        held.admitted += 1
        try:
            yield
        finally:
            held.admitted -= 1

    async def _accept(
        self, listening: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:
                # asyncio's own servers log this about 3,000 times a second.
                self._warn("cannot accept connections of the page", reason=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            connection.setblocking(False)
            held = _Held(connection, address[0])
            if not self._make_room(held):
                connection.close()
                continue
            self._held.append(held)
            task = held.begin(make_protocol, self._tls)
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    def _make_room(self, new: _Held) -> bool:
        """Close the oldest stranger's connection if there is no room; say whether there is now."""
        self._held = [one for one in self._held if one.open]
        strangers = [one for one in self._held if not one.admitted]
        same = [one for one in strangers if one.client == new.client]
        if len(same) >= self._room.of_one_address and not self._proxies.trust(new.address):
            oldest = same[0]
        elif len(self._held) >= self._room.connections:
            if not strangers:
                self._warn("there is no room for another connection of the page")
                return False
            oldest = strangers[0]
        else:
            return True
        self._warn("closing connections of the page without a request, to make room for others")
        oldest.abort()
        self._held.remove(oldest)
        return True

    def _warn(self, event: str, **values: object) -> None:
        """Log, once a minute at most."""
        now = time.monotonic()
        if now >= self._logged + _LOG_SECONDS:
            self._logged = now
            _log.warning(event, connections=len(self._held), **values)


async def _listening(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on every address of `host`."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind(address)
            one.listen(_LISTENING)
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets
