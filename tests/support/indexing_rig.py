"""Real parts for tests of indexing: Valkey, Qdrant, an encoder, a Celery worker."""

import json
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from qdrant_client import QdrantClient

from landmarks.errors import LandmarksError
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.open_writes import OpenWrites
from landmarks.job_store.records import Job
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import job_message
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.colour_encoder import DIGEST, DIMENSION
from tests.support.engine import running_engine
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.valkey import Valkey

MODEL = "colours"


@dataclass
class Kept:
    """A process that is started again whenever it ends."""

    process: subprocess.Popen[bytes] | None = None
    ended: list[float] = field(default_factory=list)  # when its predecessors ended

    def kill(self) -> None:
        """End it as a crash would, by its id; it is started again."""
        if self.process is not None:
            self.process.kill()


@contextmanager
def kept_running(
    start: Callable[[], AbstractContextManager[subprocess.Popen[bytes]]],
) -> Iterator[Kept]:
    """Keep a process running until the block ends."""
    kept = Kept()
    stop = threading.Event()

    def keep() -> None:
        while not stop.is_set():
            with start() as kept.process:
                while kept.process.poll() is None and not stop.wait(0.05):
                    pass
                if not stop.is_set():
                    kept.ended.append(time.time())

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield kept
    finally:
        stop.set()
        thread.join()


@dataclass
class Rig:
    """The parts of one stack, and how to start and ask them."""

    directory: Path
    valkey: Valkey
    photos: Path
    qdrant_port: int = field(default_factory=free_port)
    encoder_port: int = field(default_factory=free_port)
    newer_port: int = field(default_factory=free_port)
    has_newer: bool = False  # whether anybody knows of the newer encoder

    def settings(self, **more: str) -> dict[str, str]:
        return {
            "redis_url": self.valkey.url,
            "qdrant_port": str(self.qdrant_port),
            "encoders": json.dumps({MODEL: self.encoders}),
            "source_roots": json.dumps([str(self.photos)]),
            "chunk_size": "4",
            **more,
        }

    def qdrant(self, **more: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return running_engine(self.directory / "qdrant", self.qdrant_port, **more)

    @property
    def encoders(self) -> list[str]:
        """The addresses of the model's encoders; the second is of another digest."""
        ports = [self.encoder_port, self.newer_port] if self.has_newer else [self.encoder_port]
        return [f"127.0.0.1:{port}" for port in ports]

    def encoder(
        self, seconds: float = 0, **more: str
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return self._encoder(self.encoder_port, 1, seconds, **more)

    def newer_encoder(
        self, revision: int = 2, seconds: float = 0
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return self._encoder(self.newer_port, revision, seconds)

    def encoder_of(self, model: str, port: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run an encoder of another model."""
        return self._encoder(port, 1, 0, model)

    def _encoder(
        self, port: int, revision: int, seconds: float, model: str = MODEL, **more: str
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        arguments = (str(port), model, str(seconds), str(self.encoded_log), str(revision))
        return running_module("tests.support.colour_encoder", *arguments, **more)

    @property
    def encoded_log(self) -> Path:
        """The file in which the encoder notes what it begins to encode."""
        return self.directory / "encoded.log"

    def encoded(self) -> Counter[str]:
        """Return how often each photo was begun to be encoded, by its sha256."""
        return Counter(line.split()[0] for line in self.encoded_log.read_text().splitlines())

    @contextmanager
    def worker(self, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        name = f"test-{uuid.uuid4().hex[:8]}"
        with running_module("indexer_worker", **self.settings(worker_name=name, **more)) as process:
            key = f"landmarks:worker:{name}"
            with self.valkey.client() as client:
                eventually(lambda: bool(client.exists(key)), "the worker is ready")
            yield process

    @property
    def jobs(self) -> JobStore:
        return JobStore(connect_redis(self.valkey.url), self.valkey.url)

    @property
    def open_writes(self) -> OpenWrites:
        return OpenWrites(connect_redis(self.valkey.url), self.valkey.url)

    def client(self) -> QdrantClient:
        return connect(VectorStoreSettings(qdrant_port=self.qdrant_port))

    def collection(self, gallery: str) -> str:
        """Return the name of the gallery's collection, made if there is none."""
        settings = VectorStoreSettings(qdrant_port=self.qdrant_port)
        with closing(self.client()) as client:
            return Collections(client, settings).to_write(gallery, MODEL, DIGEST, DIMENSION).name

    def payloads(self, gallery: str) -> dict[str, dict[str, object]]:
        """Return the payloads of a gallery's points, by path."""
        return {str(payload["path"]): payload for payload in self.points(gallery)}

    def points(self, gallery: str) -> list[dict[str, object]]:
        """Return the payloads of a gallery's points."""
        settings = VectorStoreSettings(qdrant_port=self.qdrant_port)
        client = connect(settings)
        try:
            live = Collections(client, settings).live(gallery, MODEL)
            points = PointStore(client, settings).scan(live.name)
            return [dict(point.payload) for point in points]
        finally:
            client.close()

    def create(
        self,
        gallery: str,
        source: Path | str,
        *,
        models: tuple[str, ...] = (MODEL,),
        enqueue: bool = True,
        **more: object,
    ) -> str:
        """Create a job and enqueue it; return its id."""
        spec = IndexSpec(gallery, str(source), models, **more)
        job = self.jobs.create(spec)
        if enqueue:
            with TaskSender(celery_app(self.valkey.url)) as sender:
                sender.send(job_message(job.id))
        return job.id

    def ended(self, job_id: str, seconds: float = 180) -> Job:
        """Wait until a job has ended."""
        jobs = self.jobs
        eventually(lambda: _ended(jobs, job_id), f"job {job_id} ends", seconds)
        return jobs.get(job_id)

    def index(self, gallery: str, source: Path | str, **more: object) -> Job:
        """Index a source to its end."""
        return self.ended(self.create(gallery, source, **more))


def _ended(jobs: JobStore, job_id: str) -> bool:
    try:
        return jobs.get(job_id).ended
    except LandmarksError:
        return False


def draw_photo(path: Path, seed: int) -> Path:
    """Draw a small photo; another seed is another photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = [(seed * 37 + i * 53) % 256 for i in range(12)]
    image = Image.frombytes("RGB", (2, 2), bytes(colours)).resize((24, 16))
    image.save(path)
    return path
