"""A full disk is a state that is named: reads go on, writes are refused, and it passes."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from landmarks.edge_server.room import Room
from landmarks.errors import DiskFullError, OverloadedError
from landmarks.vector_store.client import connect
from landmarks.vector_store.points import Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import edge_environment, wait_until_serving
from tests.support.ports import free_port
from tests.support.processes import descendants, eventually, running_command
from tests.support.small_disk import small_disk
from tests.support.stores import StoreUnderTest, photo, photo_id, unit_rows

pytestmark = [pytest.mark.needs(mount="tmpfs"), pytest.mark.timeout(300)]

ROWS = unit_rows(200)
POINTS = [Point(photo_id(n), ROWS[n], photo(n).to_payload()) for n in range(200)]


@pytest.mark.integration
def test_on_a_full_disk_reads_go_on_and_writes_are_refused_until_there_is_room(tmp_path: Path):
    port, log = free_port(), tmp_path / "log"
    settings = VectorStoreSettings.load({"qdrant_port": port})
    command = [sys.executable, "-m", "landmarks.edge_server"]
    with (
        small_disk(tmp_path / "disk", 64) as disk,
        running_command(command, edge_environment(disk.folder, port), log=log) as process,
        closing(connect(settings)) as client,
    ):
        wait_until_serving(process, port)
        store = StoreUnderTest("embedded", client, settings, "g")
        name = store.collection().name
        store.points.upsert(name, POINTS[:100])
        running = set(descendants(process.pid))
        disk.fill()

        for write in (
            lambda: store.points.upsert(name, POINTS[100:]),
            lambda: store.collections.create_beside("g", "other", "cd" * 32, 4),
        ):
            with pytest.raises(OverloadedError, match=r"is full: .* of 64 MB are free") as refused:
                write()
            assert str(disk.folder) in str(refused.value)
        [state] = store.collections.states("g")
        assert (state.status, state.points) == ("green", 100)
        assert "writes wait" in state.problem
        # It tries to write what it holds in memory, which fails, and goes on.
        eventually(lambda: "could not be flushed" in log.read_text(), "it tries to flush")
        assert store.points.count(name) == 100
        assert store.points.query(name, [Query(ROWS[3], limit=1)])[0][0].id == photo_id(3)
        assert set(descendants(process.pid)) == running
        eventually(lambda: "the disk is full" in log.read_text(), "it says so in its log")

        disk.make_room()
        store.points.upsert(name, POINTS[100:])
        store.collections.create_beside("g", "other", "cd" * 32, 4)
        assert store.points.count(name) == 200
        assert not any(one.problem for one in store.collections.states("g"))
        assert log.read_text().count("the disk is full") == 1
        assert "Traceback" not in log.read_text()


def test_room_is_kept_free_and_spare_room_is_given_up_and_taken_again(tmp_path: Path):
    with small_disk(tmp_path / "disk", 64) as disk:
        room = Room(disk.folder)
        room.watch()
        spare = disk.folder / "spare.room"
        assert spare.stat().st_blocks > 0
        room.require(1_000_000)
        with pytest.raises(DiskFullError, match=r"a copy of \d+ MB"):
            room.require(60_000_000)
        disk.fill(leave=1_000_000)
        assert "1 MB of 64 MB are free" in room.problem
        room.give_up_spare()
        assert not spare.exists()
        assert not room.problem
        disk.make_room()
        room.watch()
        assert spare.exists()
        room.give_up_spare()
        assert spare.exists()


def test_an_error_for_lack_of_room_is_named(tmp_path: Path):
    with small_disk(tmp_path / "disk", 4) as disk:
        disk.fill()
        room = Room(disk.folder)
        with pytest.raises(DiskFullError, match=str(disk.folder)), room.failures():
            (disk.folder / "file").write_bytes(b"1" * 100_000)
        with pytest.raises(FileNotFoundError), room.failures():
            (disk.folder / "nowhere" / "file").write_bytes(b"")
