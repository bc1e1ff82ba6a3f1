"""What callers without a key can take of the search service: little, and for a short time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from landmarks.security import api_keys
from landmarks.security.api_keys import Permission
from landmarks.security.proxies import TrustedProxies
from search_service.web import session
from search_service.web.connections import Connections, Room
from tests.support.page_stack import Page, page_running
from tests.support.search_stack import Qdrant

pytestmark = pytest.mark.integration

STRANGER = "127.0.0.2"


@pytest.fixture
async def guarded(qdrant: Qdrant, tmp_path: Path) -> AsyncIterator[Page]:
    api_keys.create(tmp_path / "keys", "app", Permission.READ)
    async with page_running(qdrant.settings, [], api_keys_file=tmp_path / "keys") as page:
        yield page


def half_open(port: int, source: str = STRANGER) -> socket.socket:
    """Connect from `source`, and send part of a request."""
    connection = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    connection.setblocking(False)
    return connection


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def test_half_open_connections_leave_room_for_others_of_the_same_address(
    guarded: Page,
) -> None:
    most = Room.of_this_process().of_one_address
    connections = [await asyncio.to_thread(half_open, guarded.port) for _ in range(2 * most)]
    try:
        for source in ("127.0.0.1", STRANGER):
            connector = aiohttp.TCPConnector(local_addr=(source, 0))
            async with aiohttp.ClientSession(guarded.origin, connector=connector) as http:
                assert (await http.get("/")).status == 200
        async with asyncio.timeout(20):
            while sum(not is_closed(one) for one in connections) > most:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert is_closed(connections[0])
        assert not is_closed(connections[-1])
    finally:
        for one in connections:
            one.close()


async def test_a_log_in_is_short_and_arrives_at_once(
    guarded: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Origin": guarded.origin, "Content-Type": "application/json"}

    async def status(data: object, **more: str) -> int:
        answer = await guarded.http.post("/api/session", data=data, headers={**headers, **more})
        return answer.status

    assert await status(b'{"key": "' + b"x" * 64 * 1024 + b'"}') == 413

    with capture_logs() as logs:
        assert await status(b"not compressed at all", **{"Content-Encoding": "gzip"}) == 400
    assert not [line for line in logs if line["log_level"] == "error"]

    async def never_ending() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr(session, "_STRANGER_SECONDS", 0.1)
    assert await status(never_ending()) == 504


async def test_callers_behind_a_trusted_proxy_have_limits_of_their_own(qdrant: Qdrant) -> None:
    async def statuses(trusted: str) -> list[int]:
        async with page_running(
            qdrant.settings, [], rate_limit=0.001, rate_burst=1, trusted_proxies=trusted
        ) as page:
            return [
                (await page.http.get("/api/session", headers={"X-Forwarded-For": caller})).status
                for caller in ("192.0.2.7", "192.0.2.8", "192.0.2.8")
            ]

    assert await statuses("127.0.0.0/8,::1") == [200, 200, 429]
    assert await statuses("10.0.0.0/8") == [200, 429, 429]


async def test_a_request_that_was_admitted_keeps_its_connection_where_there_is_no_room() -> None:
    connections, go = Connections(Room(2, 2), TrustedProxies(())), asyncio.Event()

    async def answer(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        async with connections.admitted(request.transport):
            await go.wait()
        return aiohttp.web.Response()

    server = aiohttp.web.Server(answer)
    async with (
        connections.accepting(server, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        running = [asyncio.ensure_future(http.get("/")) for _ in range(2)]
        async with asyncio.timeout(20):
            while server.requests_count < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(5):
            with pytest.raises(aiohttp.ClientConnectionError):
                await http.get("/")
        go.set()
        assert [(await one).status for one in running] == [200, 200]
        assert (await http.get("/")).status == 200
        server.pre_shutdown()
        await server.shutdown()
