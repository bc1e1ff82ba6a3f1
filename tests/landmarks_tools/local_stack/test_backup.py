"""A backup of a running stack is rehearsed: taken under load, everything lost, put back."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import Landmarks
from landmarks.errors import AlreadyExistsError, ConfigurationError, LandmarksError
from landmarks.vector_store.client import connect
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks_tools.cli.output import ExitCode
from landmarks_tools.local_stack.append_only_file import copy_append_only_file
from landmarks_tools.local_stack.backup import back_up, restore
from landmarks_tools.local_stack.data_lock import data_locked
from tests.support.edge import edge_process
from tests.support.files import on_disk
from tests.support.local_stack import COLOURS, Stack, photo
from tests.support.processes import eventually
from tests.support.stores import StoreUnderTest
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.integration

PHOTOS = 1500


class SlowlyIndexing(Stack):
    """A stack that has a job under way for long enough: one photo after another."""

    slow = True

    @property
    def environment(self) -> dict[str, str]:
        pace = {"LANDMARKS_CHUNK_SIZE": "1", "LANDMARKS_WORKER_CONCURRENCY": "1"}
        return {**super().environment, **(pace if self.slow else {})}


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[SlowlyIndexing]:
    stack = SlowlyIndexing(tmp_path / "stack")
    stack.start()
    try:
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()


def answers(stack: Stack) -> list[Any]:
    """What searches find, but for how long they took."""
    found = []
    with Landmarks(stack.server) as client:
        for colour in COLOURS:
            answer = client.search(photo=photo(colour, 3), gallery="colours", limit=20)
            found.append([(hit.point.id, hit.point.landmark, hit.score) for hit in answer.fused])
    return found


def job(stack: Stack, id_: str) -> pb.IndexJob:
    with Landmarks(stack.server) as client:
        return client.job(id_)


@pytest.mark.slow
def test_what_a_backup_of_a_busy_stack_restores_answers_as_before_and_its_jobs_go_on(
    rehearsal: SlowlyIndexing, folder: Path, tmp_path: Path
) -> None:
    stack, many, kept = rehearsal, tmp_path / "many", tmp_path / "kept"
    for number in range(PHOTOS):
        path = many / COLOURS[number % 5] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(COLOURS[number % 5], number))
    done = stack.json("index", folder, "--gallery", "colours", "--wait")
    before = answers(stack)
    begun = stack.json("index", many, "--gallery", "many")

    eventually(
        lambda: any(one.stored for one in job(stack, begun["id"]).progress), "it has stored some"
    )
    stop, failed = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            try:
                answers(stack)
            except LandmarksError as error:
                failed.append(error)

    searching = threading.Thread(target=search)
    searching.start()
    made = stack.json("backup", kept, "--data-dir", stack.data_dir)
    stop.set()
    searching.join()
    assert not failed
    assert job(stack, begun["id"]).state == pb.JOB_STATE_RUNNING, "it was no busy stack"
    assert made["running"]
    assert len(made["collections"]) == 2
    again = stack.run("backup", kept, "--data-dir", stack.data_dir)
    assert again.returncode == ExitCode.FAILED
    assert "exists" in again.stderr

    refused = stack.run("restore", kept, "--data-dir", stack.data_dir)
    assert "another stack runs" in refused.stderr
    assert stack.stop() == 0
    refused = stack.run("restore", kept, "--data-dir", stack.data_dir)
    assert refused.returncode == ExitCode.FAILED
    assert "there are data already" in " ".join(refused.stderr.split())

    shutil.rmtree(stack.data_dir)
    stack.slow = False
    restored = stack.run("restore", kept, "--data-dir", stack.data_dir)
    assert restored.returncode == ExitCode.OK, restored.stderr
    stack.start()
    assert answers(stack) == before
    jobs = {one["id"]: one for one in stack.json("jobs")}
    assert set(jobs) == {done["id"], begun["id"]}
    assert jobs[done["id"]] == {**done, **jobs[done["id"]]}
    assert jobs[done["id"]]["state"] == "JOB_STATE_SUCCEEDED"

    def ended() -> bool:
        return job(stack, begun["id"]).state == pb.JOB_STATE_SUCCEEDED

    eventually(ended, "the job that ran during the backup goes on to its end", seconds=240)
    (progress,) = job(stack, begun["id"]).progress
    assert progress.stored + progress.unchanged == PHOTOS
    assert stack.points("many") == PHOTOS

    # And of the stopped stack, into another folder.
    assert stack.stop() == 0
    stopped = stack.json("backup", tmp_path / "stopped", "--data-dir", stack.data_dir)
    assert not stopped["running"]
    assert stopped["collections"] == made["collections"]
    elsewhere = tmp_path / "elsewhere"
    assert stack.run("restore", tmp_path / "stopped", "--data-dir", elsewhere).returncode == 0
    assert not list(elsewhere.glob("qdrant/snapshots")), "no earlier snapshot is carried along"


@pytest.mark.slow
def test_a_damaged_or_incomplete_backup_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack")  # never started
    nothing = stack.run("backup", tmp_path / "kept", "--data-dir", stack.data_dir)
    assert nothing.returncode == ExitCode.NOT_FOUND
    for name in ("valkey/appendonlydir", "qdrant/shards"):
        (stack.data_dir / name).mkdir(parents=True)
    (stack.data_dir / "qdrant" / "catalog.json").write_text(
        json.dumps({"version": 1, "collections": {}, "aliases": {}})
    )
    file = stack.data_dir / "valkey" / "appendonlydir" / "a.aof"
    file.write_text("jobs")
    kept = tmp_path / "kept"
    assert stack.run("backup", kept, "--data-dir", stack.data_dir).returncode == 0
    copy = kept / "valkey" / "appendonlydir" / "a.aof"
    target = tmp_path / "target"

    def refused() -> str:
        result = stack.run("restore", kept, "--data-dir", target)
        assert result.returncode == ExitCode.USAGE, result.stderr
        assert not (target / "qdrant").exists()
        return " ".join(result.stderr.split())

    copy.write_text("jabs")
    assert "damaged" in refused()
    copy.unlink()
    assert "a.aof is missing; the backup is damaged" in refused()
    copy.write_text("jobs")
    (kept / "qdrant" / "more").write_text("of another")
    assert "damaged" in refused()
    (kept / "qdrant" / "more").unlink()
    assert stack.run("restore", kept, "--data-dir", target).returncode == 0
    (kept / "backup.json").unlink()
    result = stack.run("restore", kept, "--data-dir", tmp_path / "third")
    assert result.returncode == ExitCode.NOT_FOUND
    assert "no backup" in result.stderr


def test_a_backup_waits_for_nobody_who_is_at_the_data_already(tmp_path: Path) -> None:
    (tmp_path / "data" / "qdrant").mkdir(parents=True)
    with (
        data_locked(tmp_path / "data", "backup.lock"),
        pytest.raises(ConfigurationError, match="another backup or restore is running"),
    ):
        back_up(tmp_path / "data", tmp_path / "monday")
    assert not (tmp_path / "monday").exists()


def test_a_backup_and_what_it_restores_take_no_more_of_the_disk_than_the_data(
    tmp_path: Path,
) -> None:
    data, kept, back = tmp_path / "data", tmp_path / "kept", tmp_path / "back"
    with edge_process(data / "qdrant") as server:
        settings = VectorStoreSettings.load({"qdrant_port": server.port})
        store = StoreUnderTest("embedded", connect(settings), settings, "kept")
        store.collection(64)
        store.client.close()
    (data / "valkey" / "appendonlydir").mkdir(parents=True)
    back_up(data, kept)
    restore(kept, back)
    some = 10_000_000  # the manifest, and pages that are copied as larger blocks
    assert on_disk(kept) <= on_disk(data) + some
    assert on_disk(back) <= on_disk(data) + some


def test_a_folder_that_no_backup_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data" / "qdrant").mkdir(parents=True)
    (tmp_path / "data" / "valkey").mkdir()
    theirs = tmp_path / "monday.part" / "file"
    theirs.parent.mkdir()
    theirs.write_text("of somebody")
    with pytest.raises(AlreadyExistsError, match=r"monday\.part exists"):
        back_up(tmp_path / "data", tmp_path / "monday")
    assert theirs.read_text() == "of somebody"
    assert not (tmp_path / "monday").exists()

    # What a killed backup has left is replaced.
    theirs.with_name("backup.unfinished").touch()
    back_up(tmp_path / "data", tmp_path / "monday")
    assert not theirs.exists()
    assert {path.name for path in (tmp_path / "monday").iterdir()} == {
        "backup.json",
        "qdrant",
        "valkey",
    }


def test_valkeys_file_is_copied_whole_while_it_is_rewritten_and_no_setting_is_changed(
    tmp_path: Path,
) -> None:
    (tmp_path / "valkey").mkdir()
    with running_valkey(tmp_path / "valkey") as valkey, valkey.client() as client:
        stop = threading.Event()
        written = 0

        def write() -> None:
            nonlocal written
            with valkey.client() as own:
                while not stop.is_set():
                    own.set("last", written + 1)
                    own.rpush("all", written + 1)
                    written += 1
                    if written % 50 == 0 and not own.info("persistence")["aof_rewrite_scheduled"]:
                        with contextlib.suppress(redis.ResponseError):  # one is under way
                            own.bgrewriteaof()

        writing = threading.Thread(target=write)
        writing.start()
        copies = []
        for number in range(10):
            eventually(lambda before=written: written > before + 20, "it writes")
            before = written
            copy = tmp_path / f"copy-{number}"
            copy_append_only_file(tmp_path / "valkey" / "appendonlydir", copy / "appendonlydir")
            copies.append((copy, before, written))
        stop.set()
        writing.join()
        assert "cmdstat_config|set" not in client.info("commandstats")
        assert client.info("persistence")["aof_rewrites"] > 3
    for copy, before, after in copies:
        with running_valkey(copy) as restored, restored.client() as client:
            found = [int(one) for one in client.lrange("all", 0, -1)]
            assert found == list(range(1, len(found) + 1))
            assert before <= len(found) <= after + 1
