"""Photos that kill their encoder or worker, every time: they alone become dead letters."""

import hashlib
import threading
from pathlib import Path

import pytest
from PIL import Image

from indexer_worker.exclusive_lock import SharedExclusiveLock
from landmarks.job_store.records import Job, JobState
from tests.support.colour_encoder import POISON
from tests.support.indexing_rig import Rig, draw_photo, kept_running
from tests.support.processes import eventually

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def assert_one_dead(rig: Rig, job: Job, listed: int, poison: str) -> None:
    (progress,) = job.progress
    [letter], _ = rig.jobs.dead_letters(job.id, 10, "")
    assert job.state is JobState.SUCCEEDED, job.error
    assert (progress.listed, progress.dead, progress.done) == (listed, 1, listed)
    assert letter.entry.path == poison
    assert set(rig.payloads("g")) == {f"{seed}.png" for seed in range(listed - 1)}


def photos_in(folder: Path, count: int) -> Path:
    for seed in range(count):
        draw_photo(folder / f"{seed}.png", seed)
    return folder


@pytest.mark.slow
def test_a_photo_that_the_encoder_does_not_survive_is_a_dead_letter(own_rig):
    rig = own_rig
    photos = photos_in(rig.photos, 24)
    poison = photos / "7-poison.png"
    Image.new("RGB", (POISON, 9)).save(poison)
    with (
        rig.qdrant(),
        kept_running(lambda: rig.encoder(seconds=0.05)) as encoder,
        rig.worker(worker_concurrency="3"),
    ):
        job = rig.index("g", photos)
        assert_one_dead(rig, job, 25, "7-poison.png")
        [letter], _ = rig.jobs.dead_letters(job.id, 10, "")
        assert "the encoder was lost" in letter.reason
    encoded = rig.encoded()
    lost = encoded.pop(hashlib.sha256(poison.read_bytes()).hexdigest())
    assert lost <= len(encoder.ended)
    assert max(encoded.values()) <= 1 + len(encoder.ended)


# Registers, in the worker, a place whose file `poison` kills the process that opens it.
_DEADLY = """
import os
import fsspec
from fsspec.implementations.local import LocalFileSystem

class Deadly(LocalFileSystem):
    protocol = "deadly"

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("deadly://"))

    def open(self, path, *arguments, **options):
        if "poison" in path:
            os._exit(1)
        return super().open(path, *arguments, **options)

fsspec.register_implementation("deadly", Deadly)
"""


@pytest.mark.slow
def test_a_photo_that_the_worker_does_not_survive_is_a_dead_letter(own_rig, monkeypatch):
    rig = own_rig
    photos = photos_in(rig.photos, 20)
    draw_photo(photos / "7-poison.png", 50)
    (rig.directory / "site").mkdir()
    (rig.directory / "site" / "sitecustomize.py").write_text(_DEADLY)
    monkeypatch.setenv("PYTHONPATH", str(rig.directory / "site"))
    quick = {"lease_seconds": "1", "sweep_seconds": "0.3", "chunk_size": "8"}
    roots = {"source_roots": f'["deadly://{photos}"]'}
    with (
        rig.qdrant(),
        rig.encoder(),
        kept_running(lambda: rig.worker(**quick, **roots)) as worker,
    ):
        job = rig.ended(rig.create("g", f"deadly://{photos}"), 180)
        assert_one_dead(rig, job, 21, "7-poison.png")
        [letter], _ = rig.jobs.dead_letters(job.id, 10, "")
        assert "never ended" in letter.reason
    # Three for the chunk, two for the photo alone, and a few around.
    assert 3 <= len(worker.ended) <= 8


def test_an_exclusive_holder_waits_for_shared_ones_and_keeps_later_ones_out():
    lock, seen = SharedExclusiveLock(), []
    inside, leave = threading.Event(), threading.Event()

    def share(name: str) -> None:
        with lock.hold(exclusive=False):
            inside.set()
            leave.wait(10)
            seen.append(name)

    def be_alone() -> None:
        with lock.hold(exclusive=True):
            seen.append("alone")

    first = threading.Thread(target=share, args=("first",))
    first.start()
    assert inside.wait(10)
    alone = threading.Thread(target=be_alone)
    alone.start()
    eventually(lambda: lock.exclusive_waiting > 0, "it waits")
    late = threading.Thread(target=share, args=("late",))
    late.start()
    assert seen == []
    leave.set()
    for thread in (first, alone, late):
        thread.join(10)
    assert seen == ["first", "alone", "late"]
