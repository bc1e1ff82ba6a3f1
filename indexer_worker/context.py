"""The worker's context: its connections, and its background threads."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import timedelta

import structlog

from indexer_worker import metrics, retried_calls
from indexer_worker.batch_encoder import ModelEncoder
from indexer_worker.copy_watch import CopyWatch
from indexer_worker.exclusive_lock import SharedExclusiveLock
from indexer_worker.leases import LeaseKeeper
from indexer_worker.photo_reader import PhotoReader
from indexer_worker.requeue import Sweeper
from indexer_worker.retry import RetryPolicy, once
from indexer_worker.settings import IndexerSettings
from indexer_worker.unacknowledged import Unacknowledged
from landmarks.encoders.directory import EncoderDirectory
from landmarks.errors import LandmarksError
from landmarks.job_store.celery_app import TaskSender
from landmarks.job_store.copy_checks import CopyChecks
from landmarks.job_store.maps import MapStore
from landmarks.job_store.open_writes import OpenWrites
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.source_names import SourceNames
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import encode_queue, job_message, work_message
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Sources
from landmarks.vector_store.client import address_of, connect
from landmarks.vector_store.cluster import Cluster, has_several_copies
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.copies import CopyComparer
from landmarks.vector_store.copy_repair import CopyRepair
from landmarks.vector_store.fenced_writes import FencedWrites
from landmarks.vector_store.held_photos import HeldPhotos
from landmarks.vector_store.point_store import PointStore

_log = structlog.get_logger(__name__)

_RENEWALS_PER_LEASE = 4
# A node that is started again is away for longer.
_LOOK_AT_NODES_SECONDS = 5.0
# A node that takes longer to say that it is there is as good as away.
_NODE_SECONDS = 5.0


class WorkerContext:
    """One per process, shared by its threads; connects on first use.

    Its stores retry calls that may be repeated; `once(store)` does not. Raises ConfigurationError
    if a TLS file cannot be used.
    """

    def __init__(self, settings: IndexerSettings, sender: TaskSender) -> None:
        settings.tls.check()
        self.settings = settings
        self.stopping = threading.Event()
        self.retry = retry = RetryPolicy(settings.outage_patience_seconds, self.stopping)
        redis = connect_redis(settings.broker_url)
        jobs = JobStore(redis, settings.redis_url)
        open_writes = OpenWrites(redis, settings.redis_url)
        self.jobs = retry.retrying(jobs, retried_calls.JOBS)
        maps = MapStore(connect_redis(settings.broker_url), settings.redis_url)
        self.source_names = SourceNames(connect_redis(settings.broker_url), settings.redis_url)
        self.maps = retry.retrying(maps, retried_calls.MAPS)
        self.process_lock = SharedExclusiveLock()
        self.leases = LeaseKeeper(jobs, settings.lease_seconds)
        encoders = EncoderDirectory(settings.encoders, settings.tls)
        self.encoders = retry.retrying(encoders, retried_calls.ENCODERS)
        sources = Sources(SourceRoots(settings.source_roots))
        self.sources = retry.retrying(sources, retried_calls.SOURCES)
        self.reader = PhotoReader(
            self.sources, self.stopping, settings.read_threads, settings.facts_wanted
        )
        self._client = client = connect(settings)
        self.cluster = Cluster(settings)
        checks = CopyChecks(connect_redis(settings.broker_url), settings.redis_url)
        self.checks = retry.retrying(checks, retried_calls.CHECKS)
        self.collections = retry.retrying(Collections(client, settings), retried_calls.COLLECTIONS)
        points, writes = PointStore(client, settings), FencedWrites(client, settings)
        self.points = retry.retrying(points, retried_calls.POINTS)
        held = HeldPhotos(client, settings)
        self.held_photos = retry.retrying(held, retried_calls.HELD_PHOTOS)
        self.writes = retry.retrying(writes, retried_calls.WRITES)
        self.open_writes = retry.retrying(open_writes, retried_calls.OPEN_WRITES)
        seconds = settings.lease_seconds
        self.unacknowledged = Unacknowledged(
            self.jobs, self.open_writes, self.points, self.writes, seconds
        )
        self.name = settings.name
        self._sender = retry.retrying(sender, retried_calls.SENDER)
        self._closed = threading.Event()
        self._sweeper = Sweeper(jobs, self.send_work)
        # It comes again anyway.
        self.unacknowledged_sweep = Unacknowledged(jobs, open_writes, points, writes, seconds).sweep
        self._copy_watch = CopyWatch(
            jobs,
            checks,
            Collections(client, settings),
            Cluster(settings.model_copy(update={"qdrant_timeout_seconds": _NODE_SECONDS})),
            self._start,
            # Marks of deletions are removed only where copies agreed after they were made.
            timedelta(days=settings.deletion_mark_days / 2),
        )

    def send_work(self, job_id: str, field: str) -> None:
        """Enqueue a piece of a job's work; `field` is as in `Lease`."""
        self._sender.send(work_message(job_id, field))

    def encoder(self, model: str, digest: str) -> ModelEncoder:
        """Return the encoder with a digest, for one piece of work; see `ModelEncoder`."""
        seconds = self.settings.encode_timeout_seconds
        return ModelEncoder(
            once(self.encoders),
            self.retry,
            model,
            digest,
            seconds,
            lambda: self.jobs.exclusive(f"encode.{model}", seconds),
        )

    def _start(self, spec: IndexSpec) -> None:
        """Record a job, and enqueue it."""
        self._sender.send(job_message(once(self.jobs).create(spec).id))

    def has_several_copies(self, collection: str) -> bool:
        """Say whether there is more than one copy of a collection."""
        address = address_of(self.settings)
        return self.retry.call(lambda: has_several_copies(self._client, address, collection))

    def copy_repair(self, comparer: CopyComparer, deletion: int | None) -> CopyRepair:
        """Return what repairs the copies that a comparer finds; see `CopyRepair`."""
        return CopyRepair(
            comparer, self._client, address_of(self.settings), self.retry.call, deletion
        )

    def start_threads(self) -> None:
        """Start renewing leases, sweeping, and announcing that this worker is ready."""
        lease, sweep = self.settings.lease_seconds, self.settings.sweep_seconds
        metrics.begun(self.settings.consumed_models)
        self._repeat("leases", lease / _RENEWALS_PER_LEASE, self.leases.renew_all)
        self._repeat("sweeper", sweep, self._sweeper.sweep)
        self._repeat("unacknowledged", sweep, self.unacknowledged_sweep)
        self._repeat("copies", max(sweep, _LOOK_AT_NODES_SECONDS), self._copy_watch.look)
        self._repeat("announcer", sweep, self._announce)
        self._repeat("counter", sweep, self._count)

    def close(self) -> None:
        """Withdraw the announcement of this worker, and stop its threads."""
        self.stopping.set()
        self._closed.set()
        try:
            self.jobs.retire_worker(self.name)
        except LandmarksError as error:
            _log.warning("could not withdraw the announcement of this worker", reason=str(error))
        self.reader.close()
        self.encoders.close()
        self.cluster.close()
        self._copy_watch.close()

    def _announce(self) -> None:
        description = {"models": self.settings.consumed_models, "pid": os.getpid()}
        seconds = max(15, int(self.settings.sweep_seconds * 3))
        self.jobs.announce_worker(self.name, json.dumps(description), seconds)

    def _count(self) -> None:
        metrics.jobs_are_active(len(self.jobs.active()))
        metrics.copies_differ({name: one.points for name, one in self.checks.all().items()})
        for model in self.settings.consumed_models:
            metrics.messages_wait(model, self.jobs.queue_length(encode_queue(model)))

    def _repeat(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        def run() -> None:
            while not self._closed.is_set():
                try:
                    work()
                except LandmarksError as error:
                    _log.warning("background task failed", thread=name, reason=str(error))
                except Exception:  # noqa: BLE001
                    # Without this thread, nothing would recover the work of dead workers.
                    _log.exception("background task failed", thread=name)
                self._closed.wait(seconds)

        threading.Thread(target=run, name=name, daemon=True).start()
