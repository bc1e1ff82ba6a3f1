"""Jobs that succeed although a worker, an encoder, Qdrant or Redis was unavailable meanwhile."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from landmarks.job_store.records import Job, JobState, Listed, ModelProgress
from landmarks.job_store.store import CollectionTarget
from landmarks.job_store.task_messages import LISTING
from landmarks.photos.entry import Entry
from tests.support.colour_encoder import DIGEST
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.ports import free_port
from tests.support.processes import ROOT, eventually
from tests.support.small_disk import small_disk

pytestmark = pytest.mark.integration

# As the defaults, in less time.
QUICK = {"lease_seconds": "3", "sweep_seconds": "0.5"}
MOST_ATTEMPTS = 3  # the default of chunk_max_attempts


def photos_in(rig: Rig, count: int) -> Path:
    for seed in range(count):
        draw_photo(rig.photos / "atomium" / f"{seed}.png", seed)
    return rig.photos


def done(rig: Rig, job_id: str) -> int:
    return sum(progress.done for progress in rig.jobs.get(job_id).progress)


def assert_all_stored(rig: Rig, job: Job, count: int) -> None:
    assert job.state is JobState.SUCCEEDED, job.error
    (progress,) = job.progress
    assert (progress.listed, progress.stored + progress.unchanged) == (count, count)
    assert len(rig.payloads(job.spec.gallery)) == count


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_job_waits_for_an_encoder_and_for_qdrant(own_rig):
    rig = own_rig
    photos = photos_in(rig, 40)
    with contextlib.ExitStack() as stack:
        stack.enter_context(rig.worker())
        job_id = rig.create("g", photos)
        eventually(lambda: rig.jobs.get(job_id).state is JobState.RUNNING, "a worker has it")
        eventually(lambda: "waiting: " in rig.jobs.get(job_id).outcome, "it says what it waits for")
        with rig.encoder(seconds=0.3), rig.qdrant() as qdrant:
            eventually(lambda: done(rig, job_id) > 0, "the job has begun")
            qdrant.kill()
            qdrant.wait()
        assert not rig.jobs.get(job_id).ended
        stack.enter_context(rig.qdrant())
        stack.enter_context(rig.encoder())
        assert_all_stored(rig, rig.ended(job_id), 40)
        assert not rig.jobs.get(job_id).outcome


@pytest.mark.slow
def test_a_model_whose_encoder_is_away_keeps_no_other_waiting(own_rig):
    rig = own_rig
    photos = photos_in(rig, 40)
    port = free_port()
    encoders = {MODEL: rig.encoders, "other": [f"127.0.0.1:{port}"]}
    # One thread, which waiting for the one would keep from the work of the other.
    settings = {"encoders": json.dumps(encoders), "worker_concurrency": "1", **QUICK}

    def one_model_goes_on(count: int, *, has_collection: bool) -> None:
        job_id = rig.create("g", photos, models=("other", MODEL))

        def progress(model: str) -> ModelProgress:
            return next(one for one in rig.jobs.get(job_id).progress if one.model == model)

        eventually(lambda: progress(MODEL).done == count, "one model's part is done")
        assert not rig.jobs.get(job_id).ended
        eventually(lambda: "'other'" in rig.jobs.get(job_id).outcome, "it says what it waits for")
        assert bool(progress("other").collection) == has_collection
        with rig.encoder_of("other", port):
            job = rig.ended(job_id)
        assert job.state is JobState.SUCCEEDED, job.error
        assert {one.done for one in job.progress} == {count}
        assert not job.outcome

    with rig.qdrant(), rig.encoder(), rig.worker(**settings):
        one_model_goes_on(40, has_collection=False)
        draw_photo(photos / "atomium" / "40.png", 40)
        one_model_goes_on(41, has_collection=True)


@pytest.mark.slow
@pytest.mark.needs(mount="tmpfs", engine="embedded")
def test_jobs_wait_while_the_disk_of_the_vectors_is_full_and_lose_no_photo(own_rig):
    rig = own_rig
    photos = photos_in(rig, 40)
    with (
        small_disk(rig.directory / "qdrant", 64) as disk,
        rig.qdrant(),
        rig.encoder(seconds=0.2),
        rig.worker(outage_patience_seconds="0", **QUICK),
    ):
        begun = rig.create("g", photos)
        eventually(lambda: done(rig, begun) > 0, "the job has begun")
        disk.fill()
        new = rig.create("h", photos)
        eventually(lambda: "is full" in rig.jobs.get(new).outcome, "it says what it waits for")
        tokens = f"landmarks:job:{begun}:tokens"

        def often_begun() -> bool:
            with rig.valkey.client() as client:
                return max(int(one) for one in client.hvals(tokens)) > 2 * MOST_ATTEMPTS

        eventually(often_begun, "its chunks are begun more often than they may fail")
        assert "is full" in rig.jobs.get(begun).outcome
        assert not rig.jobs.get(begun).ended
        disk.make_room()
        for job in (rig.ended(begun), rig.ended(new)):
            assert_all_stored(rig, job, 40)


@pytest.mark.slow
def test_a_job_that_is_cancelled_while_it_waits_leaves_the_worker_to_others(own_rig):
    rig = own_rig
    photos = photos_in(rig, 2)
    with rig.qdrant(), rig.worker(worker_concurrency="1", lease_seconds="1"):
        waits = rig.create("g", photos)
        eventually(lambda: "waiting: " in rig.jobs.get(waits).outcome, "no encoder is there")
        assert not rig.jobs.cancel(waits).outcome
        later = rig.create("h", photos)
        eventually(lambda: "waiting: " in rig.jobs.get(later).outcome, "the next one is listed", 30)
        assert not rig.jobs.get(waits).outcome


@pytest.mark.slow
def test_work_that_waits_too_long_is_postponed_and_begun_again(own_rig):
    rig = own_rig
    photos = photos_in(rig, 4)
    with rig.worker(outage_patience_seconds="0", **QUICK):
        job_id = rig.create("g", photos)
        tokens = f"landmarks:job:{job_id}:tokens"
        with rig.valkey.client() as client:
            eventually(lambda: int(client.hget(tokens, "listing") or 0) > 2, "it is begun again")
        with rig.qdrant(), rig.encoder():
            job = rig.ended(job_id)
            assert_all_stored(rig, job, 4)
            assert not job.outcome


@pytest.mark.slow
def test_a_job_that_was_never_enqueued_is_found_by_a_sweep(rig, gallery):
    photo = draw_photo(rig.photos / gallery / "a.png", 1)
    job = rig.ended(rig.create(gallery, photo.parent, enqueue=False))
    assert (job.state, job.progress[0].stored) == (JobState.SUCCEEDED, 1)


@pytest.mark.slow
def test_a_job_whose_collection_is_dropped_fails_and_says_so(own_rig):
    rig = own_rig
    photos = photos_in(rig, 12)
    with rig.qdrant(), rig.encoder(seconds=0.5), rig.worker(worker_concurrency="1", **QUICK):
        job_id = rig.create("g", photos)
        eventually(lambda: done(rig, job_id) > 0, "the job has begun")
        (progress,) = rig.jobs.get(job_id).progress
        with contextlib.closing(rig.client()) as client:
            client.delete_collection(progress.collection)
        job = rig.ended(job_id)
        assert (job.state, job.progress[0].dead) == (JobState.FAILED, 0)
        assert f"{progress.collection} was dropped" in job.error

        assert_all_stored(rig, rig.index("g", photos), 12)


def _begun_before(
    rig: Rig, gallery: str, times: int, chunk: list[Listed], source: str = "photos"
) -> str:
    """Create a job with a chunk that was begun that often; return its id."""
    job_id = rig.create(gallery, rig.photos, enqueue=False)
    listing = rig.jobs.begin(job_id, LISTING, 60)
    assert listing is not None
    rig.jobs.set_targets(job_id, source, [CollectionTarget(MODEL, DIGEST, rig.collection(gallery))])
    with rig.valkey.client() as client:
        client.hset(f"landmarks:job:{job_id}:attempts", f"{MODEL}/0", times)
    rig.jobs.add_chunk(listing, chunk, [MODEL])
    rig.jobs.end_listing(listing)
    return job_id


def test_a_photo_whose_chunk_never_ends_is_a_dead_letter(rig, gallery):
    job_id = _begun_before(rig, gallery, 3, [Listed(Entry("a.png", "file:///a.png"))])
    job = rig.ended(job_id)
    assert job.state is JobState.SUCCEEDED
    assert (job.progress[0].listed, job.progress[0].dead) == (1, 1)
    [letter], _ = rig.jobs.dead_letters(job_id, 10, "")
    assert (letter.entry.path, letter.attempts) == ("a.png", 3)
    assert "begun 3 times" in letter.reason


def test_a_chunk_that_never_ends_is_split_and_its_parts_are_indexed(rig, gallery):
    folder = rig.photos / gallery
    paths = [draw_photo(folder / f"{seed}.png", seed) for seed in range(20)]
    chunk = [Listed(Entry(path.name, f"file://{path}")) for path in paths]
    chunk.append(Listed(Entry(paths[0].name, f"file://{paths[0]}"), duplicate=True))
    job_id = _begun_before(rig, gallery, 3, chunk)
    (progress,) = rig.ended(job_id).progress
    assert (progress.listed, progress.stored, progress.duplicate) == (21, 20, 1)
    assert len(rig.payloads(gallery)) == 20


def test_a_photo_that_was_given_up_keeps_its_older_point_marked_as_stale(rig, gallery):
    first = rig.ended(rig.create(gallery, photos_in(rig, 3)))
    points = rig.payloads(gallery)
    path = min(points)
    assert "stale" not in points[path]

    chunk = [Listed(Entry(path, points[path]["uri"]))]
    job_id = _begun_before(rig, gallery, 3, chunk, first.source_name)
    (progress,) = rig.ended(job_id).progress

    assert (progress.listed, progress.dead) == (1, 1)
    assert rig.payloads(gallery) == {**points, path: {**points[path], "stale": True}}


@pytest.mark.slow
def test_a_job_survives_a_restart_of_redis(own_rig):
    rig = own_rig
    photos = photos_in(rig, 24)
    with rig.qdrant(), rig.encoder(seconds=0.5), rig.worker(worker_concurrency="2"):
        job_id = rig.create("g", photos)
        eventually(lambda: done(rig, job_id) > 0, "the job has begun")
        rig.valkey.stop()
        rig.valkey.start()
        assert_all_stored(rig, rig.ended(job_id), 24)


def test_a_publish_to_a_silent_broker_times_out():
    send = """
import os
from landmarks.errors import UnavailableError
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.task_messages import TaskMessage
try:
    TaskSender(celery_app(os.environ["LANDMARKS_REDIS_URL"])).send(TaskMessage("task", {}, "queue"))
except UnavailableError as error:
    print(error)
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel connects, nobody answers
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        done = subprocess.run(
            [sys.executable, "-c", send],
            env={**os.environ, "LANDMARKS_REDIS_URL": url},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,  # it hung for ever
        )
    assert "the broker cannot be reached" in done.stdout
