"""What was acknowledged survives; nobody else touches the data."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from landmarks.errors import UnavailableError
from landmarks.vector_store.client import connect
from landmarks.vector_store.points import PhotoPayload, Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import EdgeProcess, edge_process, refused_start
from tests.support.stores import DIGEST, DIMENSION, StoreUnderTest, photo, photo_id, unit_rows

pytestmark = pytest.mark.integration

ROWS = unit_rows(600)


def _store(server: EdgeProcess) -> StoreUnderTest:
    settings = VectorStoreSettings.load({"qdrant_port": server.port})
    return StoreUnderTest("embedded", connect(settings), settings, "durable")


def _points(numbers: range) -> list[Point]:
    return [Point(photo_id(n), ROWS[n], photo(n).to_payload()) for n in numbers]


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(map(_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(_alive, pids))


def test_a_killed_server_has_lost_nothing_that_it_acknowledged(tmp_path: Path):
    acknowledged: list[int] = []
    with edge_process(tmp_path) as server:
        store = _store(server)
        name = store.collection().name
        store.collections.create_beside("durable", "vgg16", "cd" * 32, 4)

        def write() -> None:
            try:
                for start in range(0, 600, 20):
                    store.points.upsert(name, _points(range(start, start + 20)))
                    acknowledged.append(start)
            except UnavailableError:
                pass  # killed while it was at it

        writer = threading.Thread(target=write)
        writer.start()
        while len(acknowledged) < 5:
            time.sleep(0.01)
        store.points.set_payload(name, [photo_id(0)], {"stale": True})
        (fork_server,) = _children(server.process.pid)
        processes = [fork_server, *_children(fork_server)]
        assert len(processes) == 3
        server.kill()
        _wait_until_gone(processes)  # shards die with their server
        writer.join()
        store.client.close()

    with edge_process(tmp_path) as server:
        store = _store(server)
        live = store.collections.live("durable", "vgg16")
        assert (live.name, live.digest, live.dimension) == (name, DIGEST, DIMENSION)
        assert len(store.collections.states("durable")) == 2
        kept = {n for start in acknowledged for n in range(start, start + 20)}
        read = store.points.payloads(name, [photo_id(n) for n in kept])
        assert len(read) == len(kept)
        first = PhotoPayload.from_payload(read[photo_id(0)])
        assert first == photo(0, stale=True)
        hit = store.points.query(name, [Query(ROWS[3], limit=1)])[0][0]
        assert (hit.id, hit.score) == (photo_id(3), pytest.approx(1, abs=1e-5))
        assert sum(one.count for one in store.points.facet(name, "source")) >= len(kept)
        store.client.close()


@pytest.mark.slow
def test_a_server_that_is_stopped_in_order_comes_back_whole(tmp_path: Path):
    with edge_process(tmp_path) as server:
        store = _store(server)
        name = store.collection().name
        store.points.upsert(name, _points(range(50)))
        store.points.delete(name, [photo_id(1)])
        store.client.close()
    assert server.process.returncode == 0
    with edge_process(tmp_path) as server:
        store = _store(server)
        assert store.points.count(name) == 49
        store.collections.drop(name, live_too=True)
        assert store.collections.states() == []
        store.client.close()
    assert list((tmp_path / "shards").iterdir()) == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EdgeProcess, Path]]:
    data_dir = tmp_path_factory.mktemp("shared")
    with edge_process(data_dir) as server:
        yield server, data_dir


def test_a_shard_process_that_dies_is_restarted_with_its_points(shared):
    server, _ = shared
    store = _store(server)
    name = store.collection().name
    store.points.upsert(name, _points(range(40)))
    (fork_server,) = _children(server.process.pid)
    os.kill(_children(fork_server)[0], signal.SIGKILL)
    assert store.points.count(name) == 40  # the client tries again
    store.client.close()


def test_a_server_that_can_start_no_more_processes_ends_and_says_so(tmp_path: Path):
    with edge_process(tmp_path) as server:
        store = _store(server)
        name = store.collection().name
        store.points.upsert(name, _points(range(40)))
        store.client.close()
        (fork_server,) = _children(server.process.pid)
        workers = _children(fork_server)
        os.kill(fork_server, signal.SIGKILL)
        assert server.process.wait(10) != 0
        _wait_until_gone(workers)


def test_a_second_server_on_the_same_data_refuses_to_start(shared):
    server, data_dir = shared
    store = _store(server)
    name = store.collection().name
    complaint = refused_start(data_dir)
    assert "in use by another process" in complaint
    assert str(data_dir) in complaint
    store.points.upsert(name, _points(range(50)))  # the first is none the worse
    assert store.points.count(name) == 50
    store.client.close()


def test_a_port_in_use_is_reported(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        complaint = refused_start(tmp_path, port)
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in complaint


def test_an_unreadable_catalog_is_reported(tmp_path: Path):
    (tmp_path / "catalog.json").write_text("{")
    assert "catalog.json cannot be read" in refused_start(tmp_path)
