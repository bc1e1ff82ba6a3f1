"""A worker that is stopped before any of its calls, for so long that others do its work."""

import csv
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from landmarks.job_store.records import Job
from tests.chaos.world import World, new_world
from tests.support.stepped_workers import SteppedWorker

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.fixture
def world(still_rig, gallery) -> Iterator[World]:
    with new_world(still_rig, gallery, workers=2) as made:
        yield made


def stopped_in(world: World, job_id: str, what: str, calls: int) -> bool:
    """Stop the first worker after so many calls of a piece of work; False if it ends before."""
    slow, quick = world.workers
    while world.begin(slow):
        if slow.work == (job_id, what):
            break
        slow.finish()
    assert slow.work == (job_id, what)
    for _ in range(calls):
        if slow.busy:
            slow.step()
    slow.frozen = slow.busy
    world.drain(quick)
    return slow.busy


CHUNK = "colours/0"
PRUNE = "colours/prune"


def test_it_does_not_bring_deleted_photos_back(world):
    _, quick = world.workers
    world.draw("first.png")
    world.completed(quick, world.index())  # which creates the collection
    calls = 0
    while True:
        for number in range(2):
            world.draw(f"a/{number}.png")
        if not stopped_in(world, world.index(), CHUNK, calls):
            break
        world.delete_source("a/") if calls % 2 else world.delete(["a/0.png", "a/1.png"])
        world.thaw()
        assert world.stored() == {"first.png"}
        calls += 1
    assert calls > 8


def test_it_does_not_replace_a_photo_that_was_changed_and_indexed_since(world):
    _, quick = world.workers
    calls = 0
    while True:
        world.draw("a/0.png")
        if not stopped_in(world, world.index(), CHUNK, calls):
            break
        world.draw("a/0.png")
        world.completed(quick, world.index())
        world.thaw()
        assert world.stored() == {"a/0.png"}  # which compares the vector, too
        calls += 1
    assert calls > 8


def test_what_it_read_for_a_cancelled_job_does_not_replace_what_a_later_one_found_unchanged(world):
    _, quick = world.workers
    world.draw("a/0.png")
    manifest = world.folder / "manifest.csv"

    def index(landmark: str) -> str:
        with manifest.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "landmark"), ("a/0.png", landmark)])
        return world.index(source=str(manifest))

    world.completed(quick, index("atomium"))
    calls = 0
    while True:
        if not stopped_in_cancelled(world, index("mistake"), calls):
            break
        job = world.completed(quick, index("atomium"))
        assert (job.progress[0].unchanged, job.progress[0].stored) in ((1, 0), (0, 1))
        world.thaw()
        live = world.store.collections.live(world.gallery, "colours")
        [point] = world.store.points.scan(live.name)
        assert point.payload["landmark"] == "atomium"
        calls += 1
    assert calls > 8


def stopped_in_cancelled(world: World, job_id: str, calls: int) -> bool:
    slow, quick = world.workers
    while world.begin(slow) and slow.work != (job_id, CHUNK):
        slow.finish()
    for _ in range(calls):
        if slow.busy:
            slow.step()
    slow.frozen = slow.busy
    world.rig.jobs.cancel(job_id)
    world.drain(quick)
    return slow.busy


def test_it_does_not_prune_what_a_later_job_found_unchanged(world):
    _, quick = world.workers
    for number in range(4):
        world.draw(f"a/{number}.png")
    world.completed(quick, world.index())
    everything = set(world.paths)
    away = world.folder.parent / f"{world.gallery}-away"
    calls = 0
    while True:
        away.mkdir()
        for name in ("2.png", "3.png"):
            shutil.move(world.folder / "a" / name, away / name)
        job_id = world.index(prune=True)
        stopped = stopped_in(world, job_id, PRUNE, calls)
        for name in ("2.png", "3.png"):
            shutil.move(away / name, world.folder / "a" / name)
        away.rmdir()
        if not stopped:
            break
        if calls % 2:  # the other worker has pruned them meanwhile, and they are encoded again
            world.completed(quick, world.index())
        else:
            world.completed(quick, world.index(verify=True))
        world.thaw()
        assert world.stored() == everything
        calls += 1
    assert calls > 4


def test_a_prune_that_comes_late_deletes_nothing_of_a_job_that_listed_later(world, monkeypatch):
    slow, quick = world.workers
    for number in range(3):
        world.draw(f"a/{number}.png")
    pruning = world.index(prune=True)
    while world.begin(slow) and slow.work != (pruning, PRUNE):
        slow.finish()
    for number in range(3, 6):
        world.draw(f"b/{number}.png")
    # The clock of the worker that stores them is behind that of Redis.
    monkeypatch.setattr("indexer_worker.index_chunk.datetime", _LateClock)
    job_id = world.index()
    assert slow.busy
    while world.begin(quick):
        quick.finish()
    assert world.rig.jobs.get(job_id).ended
    slow.finish()
    assert world.stored() == set(world.paths)
    job: Job = world.rig.jobs.get(pruning)
    assert job.progress[0].pruned == 0
    assert job.not_pruned is not None
    assert "another job has listed the source since" in job.not_pruned.reason


class _LateClock(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(UTC) - timedelta(seconds=60)


def test_a_job_that_finds_nothing_changed_writes_nothing(world):
    _, quick = world.workers
    for number in range(7):
        world.draw(f"a/{number}.png")
    world.completed(quick, world.index())
    assert "batch_update_points" in quick.calls
    quick.calls.clear()
    job = world.completed(quick, world.index())
    assert job.progress[0].unchanged == 7
    assert {"batch_update_points", "upsert", "set_payload"}.isdisjoint(quick.calls)
    assert quick.calls.count("retrieve") == 3  # one for each chunk


@pytest.mark.slow
def test_it_does_not_promote_again_what_was_rolled_back(world):
    _, quick = world.workers
    world.draw("a/0.png")
    world.completed(quick, world.index())
    before = world.store.collections.live(world.gallery, "colours").name
    calls = 0
    while stopped_in(world, world.reindex(), "colours/promote", calls):
        if world.store.collections.live(world.gallery, "colours").name != before:
            world.admin.roll_back(world.gallery, "colours", "")
        world.thaw()
        assert world.store.collections.live(world.gallery, "colours").name == before
        calls += 1
    assert calls > 8


def test_a_chunk_waits_while_another_job_writes_its_photos(world):
    slow, quick = world.workers
    world.draw("a/0.png")
    first = world.index()
    while world.begin(slow) and slow.work != (first, CHUNK):
        slow.finish()
    assert slow.run_to("batch_update_points")  # the claim
    slow.step()
    second = world.index()
    while world.begin(quick):
        quick.finish()
    assert not world.rig.jobs.get(second).ended
    finish(world, slow)
    job = world.completed(quick, second)
    assert job.progress[0].unchanged == 1


def finish(world: World, worker: SteppedWorker) -> None:
    worker.finish()
    assert world.stored() == set(world.paths)
