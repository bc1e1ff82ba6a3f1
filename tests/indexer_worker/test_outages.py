"""Jobs that end although a worker, an encoder or Qdrant was away meanwhile."""

import contextlib
from pathlib import Path

import pytest

from indexer_worker.records import Job, State
from tests.support.indexing_rig import Rig, draw_photo
from tests.support.processes import eventually

pytestmark = pytest.mark.integration

# As the defaults, in less time.
QUICK = {"lease_seconds": "3", "sweep_seconds": "0.5"}


def photos_in(rig: Rig, count: int) -> Path:
    for seed in range(count):
        draw_photo(rig.photos / "atomium" / f"{seed}.png", seed)
    return rig.photos


def done(rig: Rig, job_id: str) -> int:
    return sum(progress.done for progress in rig.jobs.get(job_id).progress)


def assert_all_stored(rig: Rig, job: Job, count: int) -> None:
    assert job.state is State.SUCCEEDED, job.error
    (progress,) = job.progress
    assert (progress.listed, progress.stored + progress.unchanged) == (count, count)
    assert len(rig.payloads("g")) == count


def test_a_job_survives_workers_that_are_killed_while_they_work(own_rig):
    rig = own_rig
    photos = photos_in(rig, 40)
    with rig.qdrant(), rig.encoder(seconds=0.5):
        with rig.worker(worker_concurrency="2", **QUICK) as worker:
            job_id = rig.create("g", photos)
            eventually(lambda: done(rig, job_id) > 0, "the job has begun")
            worker.kill()
            worker.wait()
        assert not rig.jobs.get(job_id).ended
        with rig.worker(**QUICK):
            assert_all_stored(rig, rig.ended(job_id), 40)


def test_a_job_waits_for_an_encoder_and_for_qdrant(own_rig):
    rig = own_rig
    photos = photos_in(rig, 40)
    with contextlib.ExitStack() as stack:
        stack.enter_context(rig.worker())
        job_id = rig.create("g", photos)
        eventually(lambda: rig.jobs.get(job_id).state is State.RUNNING, "a worker has it")
        with rig.encoder(seconds=0.3), rig.qdrant() as qdrant:
            eventually(lambda: done(rig, job_id) > 0, "the job has begun")
            qdrant.kill()
            qdrant.wait()
        assert not rig.jobs.get(job_id).ended
        stack.enter_context(rig.qdrant())
        stack.enter_context(rig.encoder())
        assert_all_stored(rig, rig.ended(job_id), 40)


def test_what_waited_too_long_is_given_back_and_begun_again(own_rig):
    rig = own_rig
    photos = photos_in(rig, 4)
    with rig.worker(outage_patience_seconds="0", **QUICK):
        job_id = rig.create("g", photos)
        tokens = f"landmarks:job:{job_id}:tokens"
        with rig.valkey.client() as client:
            eventually(lambda: int(client.hget(tokens, "listing") or 0) > 2, "it is begun again")
        with rig.qdrant(), rig.encoder():
            assert_all_stored(rig, rig.ended(job_id), 4)


def test_a_job_that_nobody_enqueued_is_found(rig, gallery):
    photo = draw_photo(rig.photos / gallery / "a.png", 1)
    job = rig.ended(rig.create(gallery, photo.parent, enqueue=False))
    assert (job.state, job.progress[0].stored) == (State.SUCCEEDED, 1)


def test_a_job_survives_a_restart_of_redis(own_rig):
    rig = own_rig
    photos = photos_in(rig, 24)
    with rig.qdrant(), rig.encoder(seconds=0.5), rig.worker(worker_concurrency="2"):
        job_id = rig.create("g", photos)
        eventually(lambda: done(rig, job_id) > 0, "the job has begun")
        rig.valkey.stop()
        rig.valkey.start()
        assert_all_stored(rig, rig.ended(job_id), 24)
