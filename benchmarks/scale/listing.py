"""Figure 2: listing a million photos and enqueueing them, with nobody there to index them."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import Bench, CannotMeasureError, Case, Measurement
from benchmarks.scale.memory import MEBIBYTE, disk_bytes, peak_of_group
from benchmarks.services import broker, edge_server, encoder, worker
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import job_message
from landmarks_tools.local_stack.plan import HOST

_PHOTOS, _QUICK_PHOTOS = 1_000_000, 2_000
_IN_A_FOLDER = 1_000
_MODEL = "scratch"
_NOBODY = "nobody"  # a model whose queue stays empty, so that the worker does nothing but list
_LOOK_SECONDS = 0.5
_ENDS_WITHIN_SECONDS = 7200.0


def case() -> Case:
    """Return the figures `scale-2`."""
    what = ("photos-per-s", "worker-mib", "redis-mib")
    return Case({f"scale-2-{one}": "" for one in what}, _measure)


def _measure(bench: Bench) -> Mapping[str, Measurement]:
    count = _QUICK_PHOTOS if bench.effort.quick else _PHOTOS
    with (
        tempfile.TemporaryDirectory(prefix="landmarks-bench-") as temporary,
        contextlib.ExitStack() as parts,
    ):
        folder = Path(temporary)
        _fill(folder / "photos", count)
        (folder / "redis").mkdir()
        redis_url = f"redis://{HOST}:{parts.enter_context(broker(folder / 'redis'))}/0"
        qdrant = parts.enter_context(edge_server(folder / "qdrant"))
        target = parts.enter_context(encoder(_MODEL)).target
        client = connect_redis(redis_url)
        jobs = JobStore(client, redis_url)
        parts.callback(jobs.close)
        settings = {
            "LANDMARKS_REDIS_URL": redis_url,
            "LANDMARKS_QDRANT_PORT": str(qdrant.port),
            "LANDMARKS_ENCODERS": json.dumps({_MODEL: [target]}),
            "LANDMARKS_MODELS": _NOBODY,
            "LANDMARKS_SOURCE_ROOTS": json.dumps([str(folder / "photos")]),
        }
        process = parts.enter_context(worker(jobs, settings))
        before = _bytes_of(client.info("memory"))
        with peak_of_group(process.pid) as peak:
            seconds = _list(jobs, redis_url, folder / "photos", count)
        after = _bytes_of(client.info("memory"))
        log = disk_bytes(folder / "redis")
    each = (after - before) / count
    return {
        "scale-2-photos-per-s": Measurement(
            [count / seconds],
            f"{count} files of {_IN_A_FOLDER} a folder, from asking to the end of the listing, one"
            f" model; {seconds:.0f} s",
        ),
        "scale-2-worker-mib": Measurement([peak.bytes / MEBIBYTE], "at most, while it lists"),
        "scale-2-redis-mib": Measurement(
            [after / MEBIBYTE],
            f"with all chunks enqueued, {each:.0f} bytes a photo; its append-only file"
            f" {log / MEBIBYTE:.0f} MiB",
        ),
    }


def _fill(folder: Path, count: int) -> None:
    """Write so many files, of no photo: nobody reads them."""
    for number in range(count):
        place = folder / f"{number // _IN_A_FOLDER:05}"
        if number % _IN_A_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"{number:07}.jpg").write_bytes(number.to_bytes(8))


def _list(jobs: JobStore, redis_url: str, photos: Path, count: int) -> float:
    """Have the photos listed; return how many seconds it took."""
    begun = time.monotonic()
    job = jobs.create(IndexSpec("bench", str(photos), (_MODEL,)))
    with TaskSender(celery_app(redis_url)) as sender:
        sender.send(job_message(job.id))
    while not (job := jobs.get(job.id)).listing_complete:
        if job.ended:
            raise CannotMeasureError(f"the job ended as {job.state.value}: {job.error}")
        if time.monotonic() - begun > _ENDS_WITHIN_SECONDS:
            raise CannotMeasureError(f"nothing was listed to its end in {_ENDS_WITHIN_SECONDS:g} s")
        time.sleep(_LOOK_SECONDS)
    seconds = time.monotonic() - begun
    [progress] = job.progress
    if progress.listed != count:
        raise AssertionError(f"{progress.listed} photos of {count} were listed")
    return seconds


def _bytes_of(memory: Mapping[str, int]) -> int:
    """Return what Redis says that its data takes."""
    return int(memory["used_memory"])
