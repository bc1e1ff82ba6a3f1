"""The parts that index, each in a process of its own, and the photos of a run."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import CannotMeasureError
from benchmarks.services import broker, edge_server, encoder, worker
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.records import Job, JobState
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import job_message
from landmarks_tools.local_stack.plan import HOST

_ENDS_WITHIN_SECONDS = 1800.0
# How often a job is polled: often enough to time its end, rarely enough to leave it the cores.
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class IndexStack:
    """A worker with what it needs, and the encoder of one model."""

    model: str
    encoder_target: str
    photos: Path
    redis_url: str
    qdrant_port: int

    def index(self, gallery: str, folder: Path | None = None) -> tuple[Job, float]:
        """Index all photos into a gallery; return the job, and the seconds from asking to the end.

        `folder`: only those below it.

        Raises CannotMeasureError where it does not end, or not well.
        """
        jobs = JobStore(connect_redis(self.redis_url), self.redis_url)
        begun = time.monotonic()
        job = jobs.create(IndexSpec(gallery, str(folder or self.photos), (self.model,)))
        with TaskSender(celery_app(self.redis_url)) as sender:
            sender.send(job_message(job.id))
        while not (job := jobs.get(job.id)).ended:
            if time.monotonic() - begun > _ENDS_WITHIN_SECONDS:
                raise CannotMeasureError(f"the job did not end within {_ENDS_WITHIN_SECONDS:g} s")
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - begun
        jobs.close()
        if job.state is not JobState.SUCCEEDED or any(one.dead for one in job.progress):
            raise CannotMeasureError(f"the job ended as {job.state.value}: {job.error or 'dead'}")
        return job, seconds


@contextlib.contextmanager
def index_stack(model: str, photos: Sequence[Path], count: int) -> Iterator[IndexStack]:
    """Run the parts until the block ends, with a folder of `count` photos."""
    with tempfile.TemporaryDirectory(prefix="landmarks-bench-") as temporary:
        folder = Path(temporary)
        (folder / "redis").mkdir()
        _fill(folder / "photos", photos, count)
        with contextlib.ExitStack() as parts:
            redis_port = parts.enter_context(broker(folder / "redis"))
            qdrant = parts.enter_context(edge_server(folder / "qdrant"))
            server = parts.enter_context(encoder(model))
            made = IndexStack(
                model,
                server.target,
                folder / "photos",
                f"redis://{HOST}:{redis_port}/0",
                qdrant.port,
            )
            parts.enter_context(_worker(made))
            yield made


@contextlib.contextmanager
def _worker(stack: IndexStack) -> Iterator[None]:
    settings = {
        "LANDMARKS_REDIS_URL": stack.redis_url,
        "LANDMARKS_QDRANT_PORT": str(stack.qdrant_port),
        "LANDMARKS_ENCODERS": json.dumps({stack.model: [stack.encoder_target]}),
        "LANDMARKS_SOURCE_ROOTS": json.dumps([str(stack.photos)]),
    }
    jobs = JobStore(connect_redis(stack.redis_url), stack.redis_url)
    with worker(jobs, settings):
        jobs.close()
        yield


def _fill(folder: Path, photos: Sequence[Path], count: int) -> None:
    """Write so many photos of different bytes: what follows a photo's end is no part of it."""
    folder.mkdir()
    data = [photo.read_bytes() for photo in photos]
    for number in range(count):
        source = photos[number % len(photos)]
        path = folder / f"{number:06}{source.suffix}"
        path.write_bytes(data[number % len(photos)] + number.to_bytes(8))
