"""A stack whose parts are killed while it indexes, and what must hold all the same.

LANDMARKS_CHAOS=long indexes 2,000 photos for minutes; otherwise it is a short form of the same.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from landmarks.errors import LandmarksError
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.records import Job, JobState
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import job_message
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.colour_encoder import embedded
from tests.support.indexing_rig import Kept, kept_running
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.valkey import Valkey

LONG = os.environ.get("LANDMARKS_CHAOS") == "long"
# Photos of each of the two dozen landmarks.
VIEWS = 84 if LONG else 4
BATCH_SECONDS = 1.2 if LONG else 0.5
KILL_EVERY_SECONDS = 5.0 if LONG else 1.5
KILL_FOR_SECONDS = 60.0 if LONG else 6.0
FULL_FOR_SECONDS = 1500.0 if LONG else 15.0
ENDS_WITHIN_SECONDS = 900.0 if LONG else 180.0
MODELS = {"colours": 1, "shades": 2}
GALLERY = "chaos"


@dataclass
class Stack:
    """Two encoders, two workers, the embedded Qdrant and Valkey."""

    directory: Path
    photos: Path
    valkey: Valkey
    environment: Mapping[str, str] = field(default_factory=dict)
    qdrant_port: int = field(default_factory=free_port)
    encoder_ports: dict[str, int] = field(
        default_factory=lambda: {model: free_port() for model in MODELS}
    )
    encoders: dict[str, Kept] = field(default_factory=dict)
    workers: list[Kept] = field(default_factory=list)
    qdrant: Kept = field(default_factory=Kept)
    kills: list[float] = field(default_factory=list)

    @contextmanager
    def up(self) -> Iterator[None]:
        """Keep all parts running until the block ends."""
        worker = {
            "redis_url": self.valkey.url,
            "qdrant_port": str(self.qdrant_port),
            "encoders": json.dumps({m: [f"127.0.0.1:{p}"] for m, p in self.encoder_ports.items()}),
            "source_roots": json.dumps([str(self.photos)]),
            "chunk_size": "16",
            "lease_seconds": "15" if LONG else "2",
            "sweep_seconds": "5" if LONG else "0.5",
            "log_level": "ERROR",
            **self.environment,
        }
        with ExitStack() as parts:
            self.qdrant = parts.enter_context(
                kept_running(
                    lambda: running_module(
                        "landmarks.edge_server",
                        qdrant_port=str(self.qdrant_port),
                        edge_data_dir=str(self.directory / "qdrant"),
                    )
                )
            )
            for model, port in self.encoder_ports.items():
                arguments = (str(port), model, str(BATCH_SECONDS))
                arguments += (str(self.log(model)), str(MODELS[model]))
                self.encoders[model] = parts.enter_context(
                    kept_running(
                        lambda arguments=arguments: running_module(
                            "tests.support.colour_encoder", *arguments, log_level="ERROR"
                        )
                    )
                )
            for number in range(2):
                name = f"chaos-{number}"
                self.workers.append(
                    parts.enter_context(
                        kept_running(
                            lambda name=name: running_module(
                                "indexer_worker", worker_name=name, **worker
                            )
                        )
                    )
                )
            yield

    def log(self, model: str) -> Path:
        return self.directory / f"{model}.log"

    @property
    def jobs(self) -> JobStore:
        return JobStore(connect_redis(self.valkey.url), self.valkey.url)

    def start(self) -> str:
        """Enqueue a job; return its id."""
        job = self.jobs.create(IndexSpec(GALLERY, str(self.photos), tuple(MODELS)))
        with TaskSender(celery_app(self.valkey.url)) as sender:
            sender.send(job_message(job.id))
        return job.id

    def progress(self, job_id: str) -> int:
        """Return how many photos are accounted for."""
        try:
            return sum(one.done for one in self.jobs.get(job_id).progress)
        except LandmarksError:
            return 0

    def ended(self, job_id: str) -> Job:
        """Wait until a job has ended, and check that every photo is accounted for."""

        def check() -> bool:
            try:
                return self.jobs.get(job_id).ended
            except LandmarksError:  # Valkey may be away
                return False

        eventually(check, f"job {job_id} ends", ENDS_WITHIN_SECONDS)
        job = self.jobs.get(job_id)
        assert job.state is JobState.SUCCEEDED, job.error
        for one in job.progress:
            assert one.stored + one.unchanged + one.dead + one.duplicate == one.listed
            assert one.listed == len(list(self.photos.rglob("*.png")))
        return job

    def kill(self, part: Kept) -> None:
        """Kill a part, and note when."""
        self.kills.append(time.time())
        part.kill()

    def disturb(self, job_id: str, hit: Callable[[], None], times: int | None = None) -> None:
        """Hit the stack every few seconds, while the job runs; so often, or for a while."""
        eventually(lambda: self.progress(job_id) > 0, "the job has begun")
        until = time.monotonic() + KILL_FOR_SECONDS
        done = 0
        while not self.jobs_ended(job_id):
            if done == times or (times is None and time.monotonic() > until):
                return
            hit()
            done += 1
            time.sleep(KILL_EVERY_SECONDS)

    def stored_points(self) -> int:
        """Return how many points can be read, of all models; raises if one does not answer."""
        settings = VectorStoreSettings(qdrant_port=self.qdrant_port)
        with closing(connect(settings)) as client:
            names = [one.name for one in client.get_collections().collections]
            return sum(client.count(name).count for name in names)

    def jobs_ended(self, job_id: str) -> bool:
        try:
            return self.jobs.get(job_id).ended
        except LandmarksError:
            return False

    def check_everything_is_stored_once(self, job: Job, *, dead: int = 0) -> None:
        """Check points and vectors against photos, the encoders' logs, and a second run."""
        photos = {
            str(path.relative_to(self.photos)): path.read_bytes()
            for path in self.photos.rglob("*.png")
        }
        settings = VectorStoreSettings(qdrant_port=self.qdrant_port)
        with closing(connect(settings)) as client:
            for one in job.progress:
                name = Collections(client, settings).live(GALLERY, one.model).name
                points, following = client.scroll(name, limit=10_000, with_vectors=True)
                assert following is None
                assert one.dead == dead
                assert len(points) == len(photos) - dead
                assert len({point.payload["path"] for point in points}) == len(points)
                for point in points:
                    data = photos[point.payload["path"]]
                    expected = embedded(data, MODELS[one.model]).embedding.values
                    assert float(np.dot(point.vector, expected)) > 0.9999
        for model in MODELS:
            self._check_log(model)
        second = self.ended(self.start())
        for one in second.progress:
            assert (one.encoded, one.unchanged, one.dead) == (0, len(photos) - dead, dead)

    def _check_log(self, model: str) -> None:
        """Check that a photo was encoded again only where something was killed in between."""
        times: dict[str, list[float]] = defaultdict(list)
        for line in self.log(model).read_text().splitlines():
            sha256, when = line.split()
            times[sha256].append(float(when))
        for sha256, when in times.items():
            between = sum(min(when) - 1 <= kill <= max(when) for kill in self.kills)
            assert len(when) <= 1 + between, (sha256, when, self.kills)


_RANDOM = random.Random(1)


def one_of(parts: list[Kept]) -> Kept:
    """Return any of the parts, the same ones in each run."""
    return _RANDOM.choice(parts)
