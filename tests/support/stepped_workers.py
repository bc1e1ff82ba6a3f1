"""Workers that a test stops between any two calls of a store, and lets go on when it likes.

Their code, Valkey, Qdrant and the encoder are the real ones. In place of Celery's consumer, which
would run a task to its end, the test takes a message from its queue and runs the task in a thread,
a call at a time. Nothing renews leases meanwhile: to the others, a worker that is stopped for as
long as its lease is `frozen`.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from indexer_worker.context import WorkerContext
from indexer_worker.index_chunk import run_chunk
from indexer_worker.job_runner import run_job
from indexer_worker.pruning import run_pruning
from indexer_worker.reindexing import run_promotion
from indexer_worker.retry import once
from indexer_worker.settings import IndexerSettings
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.task_messages import (
    CHUNK_TASK,
    INDEX_QUEUE,
    INDEX_TASK,
    PROMOTE_TASK,
    PRUNE_TASK,
    TaskMessage,
    encode_queue,
    work_message,
)
from tests.support.indexing_rig import MODEL, Rig

_STEP_SECONDS = 120  # longer than any call takes


class _Gated:
    """A client of a store; before each of its calls, the worker waits for its turn."""

    def __init__(self, client: object, gate: Callable[[str], None]) -> None:
        self._client = client
        self._gate = gate

    def __getattr__(self, name: str) -> object:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def called(*arguments: object, **options: object) -> object:
            self._gate(name)
            return found(*arguments, **options)

        return called


@dataclass
class SteppedWorker:
    """A worker that makes one call at a time."""

    rig: Rig
    name: str
    frozen: bool = False
    at: str = ""
    """The call that it will make next."""
    calls: list[str] = field(default_factory=list)
    """The calls that it has made."""
    work: tuple[str, str] | None = None
    """The job and the field of its task."""
    _thread: threading.Thread | None = None
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _error: BaseException | None = None

    def __post_init__(self) -> None:
        # Waits are the test's: a call that fails is not repeated, and its work is postponed.
        settings = IndexerSettings.load(
            {
                "redis_url": self.rig.valkey.url,
                "qdrant_port": self.rig.qdrant_port,
                "encoders": {MODEL: self.rig.encoders},
                "source_roots": [str(self.rig.photos)],
                "chunk_size": 3,
                "worker_name": self.name,
                "outage_patience_seconds": 0,
            }
        )
        self.context = context = WorkerContext(
            settings, TaskSender(celery_app(self.rig.valkey.url))
        )
        qdrant = _Gated(once(context.points)._client, self._gate)
        for store in (context.points, context.writes, context.collections):
            once(store)._client = qdrant
        once(context.collections)._indexes._client = qdrant
        once(context.writes)._indexes._client = qdrant
        redis = once(context.jobs)._redis
        execute = redis.execute_command

        def executed(*arguments: object, **options: object) -> object:
            self._gate(str(arguments[0]))
            return execute(*arguments, **options)

        redis.execute_command = executed

    @property
    def busy(self) -> bool:
        return self._thread is not None

    def take(self, message: Mapping[str, Any]) -> None:
        """Begin a task, up to its first call."""
        arguments = dict(message["arguments"])
        job_id = arguments["job_id"]
        model = arguments.get("model", "")
        task = message["task"]
        run: Callable[[], None]
        if task == INDEX_TASK:
            self.work = (job_id, "listing")

            def run() -> None:
                if arguments.get("resume"):
                    for one in self.context.jobs.open_work(job_id):
                        self.context.send_work(job_id, one)
                run_job(self.context, job_id)
        elif task == CHUNK_TASK:
            self.work = (job_id, f"{model}/{arguments['chunk']}")
            run = lambda: run_chunk(self.context, job_id, model, arguments["chunk"])  # noqa: E731
        elif task == PRUNE_TASK:
            self.work = (job_id, f"{model}/prune")
            run = lambda: run_pruning(self.context, job_id, model)  # noqa: E731
        else:
            assert task == PROMOTE_TASK
            self.work = (job_id, f"{model}/promote")
            run = lambda: run_promotion(self.context, job_id, model)  # noqa: E731

        def body() -> None:
            try:
                run()
            except BaseException as error:  # noqa: BLE001 - the test raises it
                self._error = error
            finally:
                self._thread = self.work = None
                self.at = ""
                self._stopped.release()

        self._thread = threading.Thread(target=body, name=self.name, daemon=True)
        self._thread.start()
        self._wait()

    def step(self) -> None:
        """Make the next call, and go on to the one after it, or to the end of the task."""
        assert self.busy
        self._go.release()
        self._wait()

    def finish(self) -> None:
        """Go on to the end of the task."""
        while self.busy:
            self.step()

    def run_to(self, *calls: str) -> bool:
        """Go on until one of these calls is next; return False if the task ends before."""
        while self.busy and self.at not in calls:
            self.step()
        return self.busy

    def _wait(self) -> None:
        assert self._stopped.acquire(timeout=_STEP_SECONDS), f"{self.name} is stuck at {self.at}"
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _gate(self, call: str) -> None:
        if threading.current_thread() is self._thread:
            self.at = call
            self._stopped.release()
            self._go.acquire()
            self.calls.append(call)


class Queues:
    """The queues of Celery, as they are in Valkey."""

    def __init__(self, rig: Rig) -> None:
        self._redis = rig.valkey.client()
        self._jobs = rig.jobs
        self._sender = TaskSender(celery_app(rig.valkey.url))

    def clear(self) -> None:
        self._redis.flushall()

    def next(self) -> dict[str, Any] | None:
        """Take the next message."""
        for queue in (INDEX_QUEUE, encode_queue(MODEL)):
            if raw := self._redis.rpop(queue):
                message = json.loads(raw)
                _, arguments, _ = json.loads(base64.b64decode(message["body"]))
                return {"task": message["headers"]["task"], "arguments": arguments}
        return None

    def reap(self, *, but: set[tuple[str, str] | None]) -> bool:
        """Enqueue the work of all leases but these again, as if they had expired."""
        held = self._jobs.held()
        over = [one for one in held if tuple(one.name.split("/", 1)) not in but]
        taken = self._jobs.take_expired(over)
        for job_id, what in taken:
            self.send_work(job_id, what)
        return bool(taken)

    def send(self, message: TaskMessage) -> None:
        """Add a message."""
        self._sender.send(message)

    def send_work(self, job_id: str, what: str) -> None:
        """Add the message of a piece of a job's work."""
        self.send(work_message(job_id, what))
