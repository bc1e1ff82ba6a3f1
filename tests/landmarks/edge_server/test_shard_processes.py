"""A shard's process as the server sees it: callers that leave, and one that is ended."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from qdrant_client import grpc as q

from landmarks.edge_server.ipc import RESULT, read_request, write_answer
from landmarks.edge_server.room import Room
from landmarks.edge_server.served_collection import ServedCollection
from landmarks.edge_server.shard_client import ShardClient
from landmarks.errors import UnavailableError
from tests.support.edge import edge_process


async def host_and_process() -> tuple[ShardClient, socket.socket]:
    """A host, and the other end of its connection, where its process would be."""
    here, there = socket.socketpair()
    return await ShardClient.over(here), there


async def settled() -> None:
    """Let everybody go on who can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Forks:
    """Gives hosts, in order, where a fork server would fork processes."""

    def __init__(self, *hosts: ShardClient) -> None:
        self.hosts = list(hosts)
        self.opened = asyncio.Event()

    async def start(self, _method: str, _path: Path) -> ShardClient:
        host = self.hosts.pop(0)
        await self.opened.wait()
        return host


async def test_a_request_waiting_for_a_process_that_is_ended_is_unavailable() -> None:
    host, process = await host_and_process()
    calls = [asyncio.create_task(host.call("count")) for _ in range(4)]
    await settled()
    ending = asyncio.create_task(host.discard())
    await settled()
    with process:
        for _ in range(2):  # it was handed these before
            await asyncio.to_thread(read_request, process)
            write_answer(process, RESULT, b"7")
    await ending
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert results[:2] == [b"7", b"7"]
    assert [type(one) for one in results[2:]] == [UnavailableError] * 2


async def test_a_process_is_loaded_once_even_if_the_first_caller_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dead, process), (alive, _there) = await host_and_process(), await host_and_process()
    process.close()
    await settled()
    assert dead.gone
    forks = Forks(dead, alive)
    collection = ServedCollection(
        tmp_path / "shard",
        q.CreateCollection(),
        None,  # type: ignore[arg-type]
        Room(tmp_path),
    )
    monkeypatch.setattr(collection, "start", forks.start)
    forks.opened.set()
    await collection.create()
    forks.opened.clear()

    first = asyncio.create_task(collection.host())
    second = asyncio.create_task(collection.host())
    await settled()
    first.cancel()
    await settled()
    forks.opened.set()

    assert await second is alive
    assert first.cancelled()
    assert forks.hosts == []
    _there.close()
    await collection.discard()


@pytest.mark.integration
@pytest.mark.needs(system="linux")
@pytest.mark.parametrize("given", [None, "glibc.malloc.hugetlb=0"])
def test_shards_request_large_pages_unless_configured_otherwise(
    given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    with edge_process(tmp_path, settings={"GLIBC_TUNABLES": given} if given else None) as server:
        number = server.process.pid
        (forking,) = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        began_with = Path(f"/proc/{forking}/environ").read_bytes().split(b"\0")
        wanted = given or "glibc.malloc.hugetlb=1"
        assert f"GLIBC_TUNABLES={wanted}".encode() in began_with
