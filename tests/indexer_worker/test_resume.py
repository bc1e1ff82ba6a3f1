"""Cancelled jobs that are resumed, and dead letters that are retried, by real workers."""

import pytest

from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.records import JobState
from landmarks.job_store.task_messages import job_message
from tests.support.indexing_rig import Rig, draw_photo
from tests.support.processes import eventually

pytestmark = pytest.mark.integration


def enqueue_again(rig: Rig, job_id: str) -> None:
    """Enqueue a job's open work, as the search service does."""
    with TaskSender(celery_app(rig.valkey.url)) as sender:
        sender.send(job_message(job_id, resume=True))


def test_a_job_cancelled_half_way_is_resumed_to_its_end(own_rig):
    rig = own_rig
    for seed in range(40):
        draw_photo(rig.photos / "atomium" / f"{seed}.png", seed)
    with (
        rig.qdrant(),
        rig.encoder(seconds=0.3),
        rig.worker(lease_seconds="1", worker_concurrency="2"),
    ):
        job_id = rig.create("g", rig.photos)
        eventually(lambda: rig.jobs.get(job_id).progress[0].done >= 4, "some chunks are done")

        job = rig.jobs.cancel(job_id)

        (progress,) = job.progress
        assert job.state is JobState.CANCELLED
        assert progress.cancelled >= 4
        assert progress.done + progress.cancelled == progress.listed
        # Running chunks may still be written, and count as cancelled anyway.
        stored = rig.payloads("g")
        assert progress.stored <= len(stored) < 40
        with rig.valkey.client() as client:
            eventually(lambda: client.llen("encode.colours") == 0, "the queue is empty")
        assert rig.jobs.get(job_id) == job

        _, has_work = rig.jobs.resume(job_id)
        assert has_work
        enqueue_again(rig, job_id)
        (progress,) = rig.ended(job_id).progress
        assert rig.jobs.get(job_id).state is JobState.SUCCEEDED
        assert (progress.listed, progress.done, progress.cancelled) == (40, 40, 0)
        assert len(rig.payloads("g")) == 40


def test_retried_dead_letters_are_indexed_if_repaired_and_die_again_if_not(rig, gallery):
    folder = rig.photos / gallery
    for seed in range(3):
        draw_photo(folder / "atomium" / f"{seed}.png", seed)
    for name in ("repaired", "broken"):
        (folder / "soreq").mkdir(exist_ok=True)
        (folder / "soreq" / f"{name}.png").write_bytes(b"no photo")
    job = rig.index(gallery, folder)
    assert job.progress[0].dead == 2

    draw_photo(folder / "soreq" / "repaired.png", 7)
    _, has_work = rig.jobs.retry_dead_letters(job.id)
    assert has_work
    enqueue_again(rig, job.id)

    (progress,) = rig.ended(job.id).progress
    assert (progress.listed, progress.stored, progress.dead) == (5, 4, 1)
    [letter], _ = rig.jobs.dead_letters(job.id, 10, "")
    assert letter.entry.path == "soreq/broken.png"
    assert rig.payloads(gallery)["soreq/repaired.png"]["landmark"] == "soreq"


@pytest.mark.slow
def test_late_pruning_keeps_the_points_of_a_later_job(own_rig):
    rig = own_rig
    for seed in range(24):
        draw_photo(rig.photos / "atomium" / f"{seed}.png", seed)
    with (
        rig.qdrant(),
        rig.encoder(seconds=0.3),
        rig.worker(lease_seconds="1", worker_concurrency="2"),
    ):
        rig.index("g", rig.photos)
        for seed in range(24):
            draw_photo(rig.photos / "atomium" / f"{seed}.png", 100 + seed)
        job_id = rig.create("g", rig.photos, prune=True)
        eventually(lambda: rig.jobs.get(job_id).progress[0].done >= 4, "some chunks are done")
        rig.jobs.cancel(job_id)
        (rig.photos / "atomium" / "0.png").unlink()
        draw_photo(rig.photos / "atomium" / "new.png", 99)
        rig.index("g", rig.photos)

        rig.jobs.resume(job_id)
        enqueue_again(rig, job_id)
        rig.ended(job_id)
        assert "atomium/new.png" in rig.payloads("g")

        assert rig.index("g", rig.photos, prune=True).progress[0].pruned == 1
        assert set(rig.payloads("g")) == {
            "atomium/new.png",
            *(f"atomium/{seed}.png" for seed in range(1, 24)),
        }


@pytest.mark.slow
def test_a_listing_that_never_ends_is_given_up(own_rig):
    rig = own_rig
    draw_photo(rig.photos / "atomium" / "0.png", 0)
    job_id = rig.create("g", rig.photos)
    with rig.valkey.client() as client:  # as workers leave it that died of it
        client.hset(f"landmarks:job:{job_id}:attempts", "listing", 10)
    with rig.qdrant(), rig.encoder(), rig.worker():
        job = rig.ended(job_id)
    assert job.state is JobState.FAILED
    assert "begun 10 times and never ended" in job.error
