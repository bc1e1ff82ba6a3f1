"""Whatever is killed while a collection is indexed, nothing is lost and nothing stored twice."""

import time

import pytest

from indexer_worker.app import app
from landmarks.job_store.task_messages import CHUNK_TASK, encode_queue
from tests.chaos.stack import FULL_FOR_SECONDS, KILL_EVERY_SECONDS, MODELS, Stack, one_of
from tests.support.processes import eventually
from tests.support.small_disk import small_disk

pytestmark = [
    pytest.mark.integration,
    pytest.mark.chaos,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
]


def test_workers_are_killed_again_and_again(stack: Stack):
    with stack.up():
        job_id = stack.start()
        stack.disturb(job_id, lambda: stack.kill(one_of(stack.workers)))
        stack.check_everything_is_stored_once(stack.ended(job_id))
        assert stack.kills


def test_the_encoders_are_killed_twice(stack: Stack):
    with stack.up():
        job_id = stack.start()
        stack.disturb(job_id, lambda: stack.kill(one_of(list(stack.encoders.values()))), times=2)
        stack.check_everything_is_stored_once(stack.ended(job_id))
        assert stack.kills


def test_qdrant_is_killed_twice(stack: Stack):
    with stack.up():
        job_id = stack.start()
        stack.disturb(job_id, lambda: stack.kill(stack.qdrant), times=2)
        stack.check_everything_is_stored_once(stack.ended(job_id))
        assert stack.kills


def _kill_valkey(stack: Stack) -> None:
    time.sleep(1.1)  # its log is written to the disk each second; what it lost it would do again
    stack.kills.append(time.time())
    stack.valkey.kill()
    stack.valkey.start()


def test_valkey_is_killed(stack: Stack):
    with stack.up():
        job_id = stack.start()
        stack.disturb(job_id, lambda: _kill_valkey(stack), times=1)
        stack.check_everything_is_stored_once(stack.ended(job_id))
        assert stack.kills


@pytest.mark.slow
@pytest.mark.needs(mount="tmpfs")
def test_the_disk_of_the_vectors_is_full_for_long(stack: Stack):
    with small_disk(stack.directory / "qdrant", 512) as disk, stack.up():
        job_id = stack.start()
        eventually(lambda: stack.progress(job_id) > 0, "the job has begun")
        disk.fill()
        until = time.monotonic() + FULL_FOR_SECONDS
        while time.monotonic() < until:
            # Work that has waited long is given back and begun again, as after a kill.
            stack.kills.append(time.time())
            time.sleep(KILL_EVERY_SECONDS)
            assert stack.stored_points() > 0
        assert not stack.jobs.get(job_id).ended
        assert not stack.qdrant.ended
        disk.make_room()
        stack.check_everything_is_stored_once(stack.ended(job_id))


def test_everything_is_killed_at_once(stack: Stack):
    def kill_all() -> None:
        for part in (*stack.workers, *stack.encoders.values(), stack.qdrant):
            stack.kill(part)
        _kill_valkey(stack)

    with stack.up():
        job_id = stack.start()
        stack.disturb(job_id, kill_all, times=1)
        stack.check_everything_is_stored_once(stack.ended(job_id))
        assert stack.kills


def test_every_chunk_is_delivered_twice(stack: Stack):
    with stack.up():
        job_id = stack.start()
        eventually(lambda: stack.jobs.get(job_id).listing_complete, "the source is listed")
        with app.connection_for_write(stack.valkey.url) as connection:
            for field in stack.jobs.open_work(job_id):
                model, number = field.split("/")
                arguments = {"job_id": job_id, "model": model, "chunk": int(number)}
                app.send_task(
                    CHUNK_TASK, kwargs=arguments, queue=encode_queue(model), connection=connection
                )
        stack.check_everything_is_stored_once(stack.ended(job_id))


# In the workers: the broker gives a message to another worker while the first is still at it.
_IMPATIENT = """
import os
from kombu.transport.redis import Channel, QoS
from landmarks.job_store import celery_app

celery_app.VISIBILITY_TIMEOUT_SECONDS = 1
Channel.unacked_restore_interval = Channel.unacked_restore_throttle = 1  # look each second
restore = QoS.restore_by_tag

def restore_and_tell(self, *arguments, **options):
    with open(os.environ["RESTORED"], "a") as file:
        file.write("again\\n")
    return restore(self, *arguments, **options)

QoS.restore_by_tag = restore_and_tell
"""


def test_messages_become_visible_again_while_their_work_runs(stack: Stack, monkeypatch):
    site, restored = stack.directory / "site", stack.directory / "restored"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_IMPATIENT)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("RESTORED", str(restored))
    with stack.up():
        job = stack.ended(stack.start())
        assert restored.exists()
        stack.check_everything_is_stored_once(job)


def test_one_photo_in_twenty_is_broken(stack: Stack):
    photos = sorted(stack.photos.rglob("*.png"))
    broken = photos[::20]
    for number, path in enumerate(broken):
        # Each cut off elsewhere, and no two alike: the log knows photos by their bytes.
        path.write_bytes(path.read_bytes()[: number % 40] + str(number).encode() * bool(number))
    with stack.up():
        job_id = stack.start()
        job = stack.ended(job_id)
        stack.check_everything_is_stored_once(job, dead=len(broken))
        for model in MODELS:
            letters, _ = stack.jobs.dead_letters(job_id, 1000, "")
            paths = {letter.entry.path for letter in letters if letter.model == model}
            assert paths == {str(path.relative_to(stack.photos)) for path in broken}
