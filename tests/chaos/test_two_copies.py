"""Who writes dies after a write reached one of two copies and was refused; the next reads either.

In the end, both copies are equal: they have every photo, and none that was deleted.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count

import pytest

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.errors import UnavailableError
from landmarks.job_store.records import Job
from tests.chaos.world import World, new_world, run_schedule
from tests.support.edge import edge_server
from tests.support.indexing_rig import Rig
from tests.support.ports import free_port
from tests.support.processes import eventually, listens
from tests.support.stepped_workers import SteppedWorker
from tests.support.two_copies import TwoCopies, two_copies
from tests.support.valkey import running_valkey

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

# The copy that the lost write reached, and the one that is read from then on.
# Which copy has got a write, and which is read. The first is where reading misses the write.
BOTH_WAYS = pytest.mark.parametrize(
    ("only", "reading"),
    [(0, 1), *(pytest.param(*way, marks=pytest.mark.slow) for way in ((1, 0), (0, 0), (1, 1)))],
)


@pytest.fixture(scope="module")
def copies_and_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TwoCopies, Rig]]:
    directory = tmp_path_factory.mktemp("copies")
    for name in ("valkey", "photos", "first", "second"):
        (directory / name).mkdir()
    ports = (free_port(), free_port())
    with (
        running_valkey(directory / "valkey") as valkey,
        edge_server(directory / "first", ports[0]),
        edge_server(directory / "second", ports[1]),
    ):
        rig = Rig(directory, valkey, directory / "photos")
        with two_copies(rig.qdrant_port, ports) as copies, rig.encoder():
            eventually(lambda: listens(rig.encoder_port), "the encoder is served")
            yield copies, rig


class CopiedWorld:
    """A world whose points have two copies."""

    def __init__(self, world: World, copies: TwoCopies) -> None:
        self.world = world
        self.copies = copies
        self.dying, self.next, *_ = world.workers

    def dies(self, *, after: int, only: int, reading: int) -> bool:
        """Let the first worker die at a write; False if it makes no so many."""
        self.copies.lose(after=after, only=only)
        while self.world.begin(self.dying):
            while self.dying.busy:
                self.dying.step()
                if self.copies.lost:
                    self.dying.frozen = self.dying.busy
                    self.copies.reads_from = reading
                    return True
        self.copies.heal()
        return False

    def lossy(self, seed: int) -> None:
        """Lose writes from now on, but in the jobs that must succeed."""
        self.world.__class__ = _LossyWorld
        self.world.copies, self.world.chance = self.copies, random.Random(seed)

    def sweep(self) -> None:
        for _ in range(2):
            self.next.context.unacknowledged_sweep()

    def check(self, paths: set[str]) -> None:
        """Both copies have these photos, as they are now, and nothing is left to be done."""
        for late in (False, True):
            if late:
                self.world.thaw()
                self.sweep()
            for reading in (0, 1):
                self.copies.reads_from = reading
                assert self.world.stored() == paths, reading
            first, second = map(self._points, (0, 1))
            assert first == second
        self.copies.reads_from = 0
        rig = self.world.rig
        assert not rig.open_writes.collections()

    def _points(self, copy: int) -> dict[str, tuple[object, object]]:
        self.copies.reads_from = copy
        name = self.world.store.collections.live(self.world.gallery, "colours").name
        with closing(self.world.rig.client()) as client:
            records, _ = client.scroll(name, limit=10_000, with_payload=True, with_vectors=True)
        return {str(one.id): (one.payload, one.vector) for one in records}


@pytest.fixture
def copied(copies_and_rig, gallery) -> Iterator[CopiedWorld]:
    copies, rig = copies_and_rig
    copies.heal()
    copies.reads_from = 0
    with new_world(rig, gallery, workers=3) as world:
        yield CopiedWorld(world, copies)


def completed(copied: CopiedWorld, job_id: str) -> None:
    copied.world.completed(copied.next, job_id)


@BOTH_WAYS
def test_photos_are_stored_on_both_copies(copied, only, reading):
    world, stored = copied.world, set()
    world.draw("first.png")
    completed(copied, world.index())
    for after in count():
        for number in range(2):
            world.draw(f"{after}/{number}.png")
        stored = set(world.paths)
        job_id = world.index()
        died = copied.dies(after=after, only=only, reading=reading)
        completed(copied, job_id)
        copied.check(stored)
        if not died:
            break
    assert after > 1


@BOTH_WAYS
def test_changed_photos_are_replaced_on_both_copies(copied, only, reading):
    world = copied.world
    for after in count():
        for number in range(2):
            world.draw(f"a/{number}.png")
        if after == 0:
            completed(copied, world.index())
            world.draw("a/0.png")
        job_id = world.index()
        died = copied.dies(after=after, only=only, reading=reading)
        completed(copied, job_id)
        copied.check({"a/0.png", "a/1.png"})
        if not died:
            break
    assert after > 1


@BOTH_WAYS
def test_payloads_are_changed_on_both_copies(copied, only, reading):
    world = copied.world
    world.draw("a/0.png")
    manifest = world.folder / "manifest.csv"

    def index(landmark: str) -> str:
        with manifest.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "landmark"), ("a/0.png", landmark)])
        return world.index(source=str(manifest))

    completed(copied, index("none"))
    for after in count():
        job_id = index(f"landmark {after}")
        died = copied.dies(after=after, only=only, reading=reading)
        completed(copied, job_id)
        copied.check({"a/0.png"})
        [point] = world.store.points.scan(
            world.store.collections.live(world.gallery, "colours").name
        )
        assert point.payload["landmark"] == f"landmark {after}"
        if not died:
            break
    assert after > 1


@BOTH_WAYS
def test_what_is_gone_is_pruned_from_both_copies(copied, only, reading):
    world = copied.world
    for number in range(2):
        world.draw(f"kept/{number}.png")
    for after in count():
        world.draw("a/0.png")
        completed(copied, world.index())
        world.remove("a/0.png")
        job_id = world.index(prune=True)
        died = copied.dies(after=after, only=only, reading=reading)
        completed(copied, job_id)
        copied.check({"kept/0.png", "kept/1.png"})
        if not died:
            break
    assert after > 1


@pytest.mark.parametrize("swept", [False, True])
@BOTH_WAYS
def test_a_later_job_stores_what_a_cancelled_one_has_left_in_doubt(copied, only, reading, swept):
    world = copied.world
    world.draw("first.png")
    completed(copied, world.index())
    for after in count():
        for number in range(2):
            world.draw(f"{after}/{number}.png")
        world.draw("first.png")
        job_id = world.index()
        died = copied.dies(after=after, only=only, reading=reading)
        if died:
            world.rig.jobs.cancel(job_id)
        if swept:
            copied.sweep()
        completed(copied, world.index())
        copied.check(set(world.paths))
        if not died:
            break
    assert after > 1


@BOTH_WAYS
def test_a_resumed_job_prunes_what_it_had_left_in_doubt(copied, only, reading):
    world = copied.world
    for number in range(2):
        world.draw(f"kept/{number}.png")
    for after in count():
        world.draw("a/0.png")
        completed(copied, world.index())
        world.remove("a/0.png")
        job_id = world.index(prune=True)
        died = copied.dies(after=after, only=only, reading=reading)
        if died:
            world.rig.jobs.cancel(job_id)
            copied.sweep()
            world.resume(job_id)
        completed(copied, job_id)
        copied.check({"kept/0.png", "kept/1.png"})
        if not died:
            break
    assert after > 1


def delete_by_ids(world: World) -> None:
    world.delete(["a/0.png", "a/1.png"])


def delete_by_source(world: World) -> None:
    world.delete_source("a/")


DELETIONS = pytest.mark.parametrize("delete", [delete_by_ids, delete_by_source])


@DELETIONS
@BOTH_WAYS
def test_what_a_person_deleted_is_deleted_on_both_copies(copied, only, reading, delete):
    world = copied.world
    for path in ("kept.png", "a/0.png", "a/1.png"):
        world.draw(path)
    completed(copied, world.index())
    copied.copies.lose(after=0, only=only)
    with pytest.raises(UnavailableError, match="is recorded, and a worker completes it"):
        delete(world)
    copied.copies.reads_from = reading
    copied.sweep()
    copied.check({"kept.png"})


@BOTH_WAYS
def test_a_deletion_is_completed_once_the_copy_is_back(copied, only, reading):
    world = copied.world
    for path in ("kept.png", "a/0.png", "a/1.png"):
        world.draw(path)
    completed(copied, world.index())
    copied.copies.lose(after=0, only=only, lasting=True)
    with pytest.raises(UnavailableError):
        delete_by_ids(world)
    for _ in range(3):
        copied.sweep()
    assert copied.world.rig.open_writes.collections(), "it cannot be done yet"
    copied.copies.reads_from = reading
    copied.copies.heal()
    copied.sweep()
    copied.check({"kept.png"})


@DELETIONS
@BOTH_WAYS
def test_photos_that_are_indexed_after_a_deletion_in_doubt_stay(copied, only, reading, delete):
    world = copied.world
    for path in ("kept.png", "a/0.png", "a/1.png"):
        world.draw(path)
    completed(copied, world.index())
    copied.copies.lose(after=0, only=only)
    with pytest.raises(UnavailableError):
        delete(world)
    copied.copies.reads_from = reading
    completed(copied, world.index())
    copied.sweep()
    copied.check(set(world.paths))


@BOTH_WAYS
def test_what_somebody_who_works_has_not_finished_is_waited_for(copied, only, reading):
    world = copied.world
    for number in range(2):
        world.draw(f"a/{number}.png")
    completed(copied, world.index())
    for after in count():
        world.draw("a/0.png")
        first = world.index()
        failed = copied.dies(after=after, only=only, reading=reading)
        copied.dying.frozen = False
        copied.dying.finish()  # which gives the work back, and has its lease still
        second = world.index()
        while world.begin(copied.next):
            copied.next.finish()
        written = world.rig.open_writes.collections()
        assert not written or not world.rig.jobs.get(second).ended
        completed(copied, second)
        completed(copied, first)
        copied.check({"a/0.png", "a/1.png"})
        if not failed:
            break
    assert after > 1


def test_a_settling_worker_may_die_as_well(copied):
    world, copies = copied.world, copied.copies
    world.draw("first.png")
    completed(copied, world.index())
    for after in count():
        for number in range(2):
            world.draw(f"{after}/{number}.png")
        world.draw("first.png")
        job_id = world.index()
        assert copied.dies(after=2, only=after % 2, reading=0)
        world.rig.jobs.cancel(job_id)
        copies.reads_from = (after + 1) % 2
        copies.lose(after=after, only=(after + 1) % 2)
        copied.sweep()
        settled = not copies.lost
        copies.heal()
        copies.reads_from = after % 2
        completed(copied, world.index())
        copied.check(set(world.paths))
        if settled:
            break
    assert after > 1


class _LossyWorld(World):
    """Writes get lost, but not in the jobs that must succeed."""

    copies: TwoCopies
    chance: random.Random
    calm: bool = False

    def begin(self, worker: SteppedWorker) -> bool:
        if not self.calm:
            self.copies.lose_sometimes(self.chance)
        return super().begin(worker)

    def completed(self, worker: SteppedWorker, job_id: str) -> Job:
        self.calm = True
        self.copies.heal()
        job = super().completed(worker, job_id)
        for _ in range(2):
            worker.context.unacknowledged_sweep()
        self.calm = False
        return job

    def _delete(self, request: pb.DeletePointsRequest) -> None:
        with suppress(UnavailableError):
            super()._delete(request)


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_equal_after_much_was_done_in_any_order(copied, seed):
    copied.lossy(seed)
    run_schedule(copied.world, seed)
    assert copied.copies.lost
    copied.check(copied.world.stored())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_same_with_many_more_schedules(copies_and_rig, gallery):
    copies, rig = copies_and_rig
    for seed in range(100, 140):
        with new_world(rig, f"{gallery}-{seed}") as world:
            copied = CopiedWorld(world, copies)
            copied.lossy(seed)
            run_schedule(world, seed)
            copied.check(world.stored())
