"""A gallery, the folder that it is made from, and stepped workers; what must hold at the end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.errors import NotFoundError
from landmarks.job_store.maps import MapStore
from landmarks.job_store.records import Job, JobState
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec, JobKind
from landmarks.job_store.task_messages import job_message
from landmarks.vector_store.points import point_id
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks.vector_store.store import VectorStore
from search_service.indexing.collection_admin import CollectionAdmin
from tests.support.colour_encoder import digest_of, embedded
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.stepped_workers import Queues, SteppedWorker

_SOURCE = "photos"


@dataclass
class World:
    """One gallery, which only this test changes."""

    rig: Rig
    gallery: str
    folder: Path
    queues: Queues
    store: VectorStore
    admin: CollectionAdmin
    workers: list[SteppedWorker]
    drawn: int = 0
    jobs: list[str] = field(default_factory=list)

    # What people do

    def draw(self, path: str) -> None:
        """Add a photo, or change one; no two are alike."""
        self.drawn += 1
        draw_photo(self.folder / path, self.drawn * 7 + 1)

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    @property
    def paths(self) -> list[str]:
        return sorted(str(one.relative_to(self.folder)) for one in self.folder.rglob("*.png"))

    def index(self, source: str = "", **more: object) -> str:
        chosen = source or str(self.folder)
        more["prune_confirmed"] = bool(more.get("prune"))
        return self._enqueue(IndexSpec(self.gallery, chosen, (MODEL,), source_name=_SOURCE, **more))

    def reindex(self) -> str:
        return self._enqueue(IndexSpec(self.gallery, "", (MODEL,), kind=JobKind.REINDEX))

    def _enqueue(self, spec: IndexSpec) -> str:
        job = self.rig.jobs.create(spec)
        self.queues.send(job_message(job.id))
        self.jobs.append(job.id)
        return job.id

    def resume(self, job_id: str) -> None:
        _, resumed = self.rig.jobs.resume(job_id)
        if resumed:
            self.queues.send(job_message(job_id, resume=True))

    def delete(self, paths: list[str]) -> None:
        ids = [str(point_id(self.gallery, _SOURCE, path)) for path in paths]
        self._delete(pb.DeletePointsRequest(ids=pb.PointIds(ids=ids)))

    def delete_source(self, prefix: str = "") -> None:
        source = pb.SourcePoints(name=_SOURCE, path_prefix=prefix)
        self._delete(pb.DeletePointsRequest(source=source))

    def _delete(self, request: pb.DeletePointsRequest) -> None:
        request.gallery = self.gallery
        with suppress(NotFoundError):  # there may be no gallery yet
            self.admin.delete_points(request)

    # What happens meanwhile

    def begin(self, worker: SteppedWorker) -> bool:
        """Let a worker take the next message."""
        message = self.queues.next()
        if message is not None:
            worker.take(message)
        return message is not None

    def reap(self) -> bool:
        """Let the leases expire of work that nobody is at, or whose worker is frozen."""
        return self.queues.reap(but={one.work for one in self.workers if not one.frozen})

    def drain(self, worker: SteppedWorker) -> None:
        """Let one worker do all work, to the end of all jobs."""
        worker.finish()
        for _ in range(2000):
            if self.begin(worker):
                worker.finish()
            elif not self.reap():
                if not (left := self.rig.jobs.active()):
                    return
                # As two sweeps do that find work in no queue and in no hands.
                for job_id in left:
                    for what in self.rig.jobs.unleased(job_id, {}):
                        self.queues.send_work(job_id, what)
        left = [self.rig.jobs.get(job_id) for job_id in self.rig.jobs.active()]
        why = [(job.spec.kind, job.outcome, self.rig.jobs.open_work(job.id)) for job in left]
        raise AssertionError(f"these jobs never end: {why}")

    def completed(self, worker: SteppedWorker, job_id: str) -> Job:
        """Let one worker do all work; the job must have succeeded, with every photo counted."""
        self.drain(worker)
        job = self.rig.jobs.get(job_id)
        assert job.state is JobState.SUCCEEDED, job.error
        for one in job.progress:
            assert one.done == one.listed, one
        return job

    def thaw(self) -> None:
        """Let all frozen workers go on to the end of what they were at."""
        for worker in self.workers:
            worker.frozen = False
            worker.finish()

    # What must hold

    def stored(self) -> set[str]:
        """Return the paths of the photos in the live collection, after checking each of them."""
        live = self.store.collections.find_live(self.gallery, MODEL)
        if live is None:
            return set()
        revision = 1 if live.digest == digest_of(1) else 2
        found = list(self.store.points.scan(live.name))
        vectors = self.store.points.vectors(live.name, [one.id for one in found])
        paths = [str(one.payload["path"]) for one in found]
        assert len(paths) == len(set(paths)) == len(vectors) == self.store.points.count(live.name)
        [state] = [s for s in self.store.collections.states(self.gallery) if s.live]
        assert state.points == len(paths)
        for point in found:
            path = self.folder / str(point.payload["path"])
            if path.exists():  # else nobody may have deleted it
                expected = embedded(path.read_bytes(), revision).embedding.values
                assert float(np.dot(vectors[point.id], expected)) > 0.9999, f"{path} is an old one"
        return set(paths)


@contextmanager
def new_world(rig: Rig, gallery: str, workers: int = 3, *, keep: bool = False) -> Iterator[World]:
    """Make a world of empty queues and an empty folder; with `keep`, the gallery stays."""
    folder = rig.photos / gallery
    folder.mkdir(exist_ok=True)
    queues = Queues(rig)
    queues.clear()
    store = VectorStore(VectorStoreSettings(qdrant_port=rig.qdrant_port))
    maps = MapStore(connect_redis(rig.valkey.url), rig.valkey.url)
    made = World(
        rig,
        gallery,
        folder,
        queues,
        store,
        CollectionAdmin(store, rig.jobs, maps, rig.open_writes),
        [SteppedWorker(rig, f"stepped-{number}") for number in range(workers)],
    )
    try:
        yield made
    finally:
        for worker in made.workers:
            worker.context.close()
        for state in () if keep else store.collections.states(gallery):
            store.collections.drop(state.lineage.name, live_too=True)
        store.close()


def run_schedule(world: World, seed: int) -> None:
    """Let people and two workers do things in an order that the seed gives, and check the end.

    One worker or both are stopped somewhere for so long that others do their work. After that, a
    last job and perhaps a deletion say what there must be. Then the stopped ones go on.
    """
    chance = random.Random(seed)
    first, second, last = world.workers
    for number in range(chance.randint(2, 7)):
        world.draw(f"{'ab'[number % 2]}/{number}.png")
    if chance.random() < 0.7:
        world.completed(last, world.index())
    _until_frozen(world, chance, first, second)
    if chance.random() < 0.5:
        _until_frozen(world, chance, second, last)
    for _ in range(chance.randint(0, 5)):
        _act(world, chance)
    for job_id in world.rig.jobs.active():
        if chance.random() < 0.3:
            world.rig.jobs.cancel(job_id)
    if not world.paths:
        world.draw("a/again.png")
    prune = chance.random() < 0.5
    for worker in world.workers:
        if not worker.frozen:
            worker.finish()
    world.drain(last)
    world.completed(last, world.index(prune=prune))
    expected = set(world.paths)
    gone: set[str] = set()
    match chance.randint(0, 3):
        case 0:
            gone = set(chance.sample(sorted(expected), chance.randint(1, len(expected))))
            world.delete(sorted(gone))
        case 1:
            prefix = chance.choice(["a/", "b/", ""])
            gone = {path for path in world.stored() if path.startswith(prefix)} | {
                path for path in expected if path.startswith(prefix)
            }
            world.delete_source(prefix)
    before = world.stored()
    world.thaw()
    after = world.stored()
    assert after == before, "who was stopped has changed what was there when it came back"
    assert not gone & after
    assert expected - gone <= after
    if prune:
        assert after == expected - gone


def _until_frozen(
    world: World, chance: random.Random, one: SteppedWorker, other: SteppedWorker
) -> None:
    """Go on with two workers, until one of them is stopped in the middle of its work."""
    while True:
        for _ in range(chance.randint(1, 3)):
            _act(world, chance)
        world.index(prune=chance.random() < 0.5)
        for _ in range(100):
            worker = chance.choice([one, other])
            if worker.busy:
                worker.step()
                # Most calls of a listing are made before it does anything.
                rare = worker.work is not None and worker.work[1] == "listing"
                if worker is one and worker.busy and chance.random() < (0.01 if rare else 0.08):
                    worker.frozen = True
                    return
            elif not world.begin(worker):
                if not world.reap():
                    break
            elif chance.random() < 0.1:
                _act(world, chance)


def _act(world: World, chance: random.Random) -> None:
    paths = world.paths
    jobs = world.rig.jobs
    match chance.randint(0, 8):
        case 0:
            world.draw(f"{chance.choice('ab')}/{chance.randint(0, 9)}.png")
        case 1 if len(paths) > 1:
            world.remove(chance.choice(paths))
        case 2:
            world.index(prune=chance.random() < 0.5)
        case 3 if world.jobs:
            jobs.cancel(chance.choice(world.jobs))
        case 4 if paths:
            world.delete(chance.sample(paths, chance.randint(1, len(paths))))
        case 5:
            world.delete_source(chance.choice(["a/", ""]))
        case 6 if world.jobs:
            world.resume(chance.choice(world.jobs))
        case 7 if world.store.collections.find_live(world.gallery, MODEL):
            world.reindex()
        case _ if paths:
            world.draw(chance.choice(paths))
