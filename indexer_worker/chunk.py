"""Indexing one chunk with one model: read, compare, encode, store, and only then count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import structlog

from indexer_worker import metrics
from indexer_worker.encoding import Encoded, ModelEncoder
from indexer_worker.jobs import LeaseLostError
from indexer_worker.leases import HeldLease
from indexer_worker.patience import PASSING
from indexer_worker.photos import ReadPhoto, Unreadable
from indexer_worker.plan import Described, Work, decide, is_stale, payload_of
from indexer_worker.records import DeadLetter, Job, Listed, Outcome, Progress
from indexer_worker.runtime import Runtime
from landmarks.errors import DeadlineError, LandmarksError, LineageError, NotFoundError
from landmarks.metrics import failed
from vector_store.points import PhotoPayload, Point, point_id

_log = structlog.get_logger(__name__)


class CollectionDroppedError(Exception):
    """The collection that a job writes to is not there any more."""


def run_chunk(runtime: Runtime, job_id: str, model: str, number: int) -> None:
    """Index a chunk, unless that was done or somebody else is at it."""
    with runtime.leases.hold(job_id, f"{model}/{number}") as held:
        if held is None:
            return
        try:
            _run(runtime, job_id, model, number, held)
        except LeaseLostError:
            _log.warning("chunk given up: the job ended or another worker has it", job=job_id)
        except PASSING as error:
            _postpone(runtime, held, error, blameless=not isinstance(error, DeadlineError))
        except (LineageError, CollectionDroppedError) as error:
            # No later attempt can end otherwise: the collection, or its encoder, is gone.
            _log.warning("job failed", job=job_id, reason=str(error))
            failed(error)
            runtime.jobs.fail(job_id, str(error))
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            _postpone(runtime, held, error, blameless=False)


def _run(runtime: Runtime, job_id: str, model: str, number: int, held: HeldLease) -> None:
    job = runtime.jobs.get(job_id)
    listed = runtime.jobs.chunk(job_id, number)
    attempts = held.lease.attempts
    progress = next(one for one in job.progress if one.model == model)
    run = ChunkRun(runtime, job, progress, held)
    try:
        if attempts > runtime.settings.chunk_max_attempts:
            outcome = run.give_up(listed, attempts - 1)
        else:
            outcome = run.run(listed)
    except NotFoundError as error:
        # A point that was deleted meanwhile is found missing by the next attempt.
        collection = progress.collection
        if runtime.patience.wait_out(lambda: runtime.collections.exists(collection)):
            raise
        raise CollectionDroppedError(
            f"the collection {collection} was dropped while it was written to; index again to"
            " build it anew"
        ) from error
    if outcome.total != len(listed):
        raise AssertionError(f"{outcome.total} photos accounted for of {len(listed)}")
    held.check()
    runtime.patience.wait_out(lambda: runtime.jobs.end_chunk(held.lease, model, outcome))
    metrics.chunk_ended(model, outcome)


def _postpone(runtime: Runtime, held: HeldLease, error: Exception, *, blameless: bool) -> None:
    lease = held.lease
    failed(error)
    _log.warning(
        "chunk postponed",
        job=lease.job_id,
        chunk=lease.field,
        attempts=lease.attempts,
        reason=f"{type(error).__name__}: {error}",
        exc_info=None if isinstance(error, PASSING) else error,
    )
    runtime.leases.release(held)
    pause = runtime.settings.sweep_seconds
    runtime.patience.wait_out(lambda: runtime.jobs.postpone(lease, pause, blameless=blameless))


class ChunkRun:
    """One attempt at a chunk."""

    def __init__(self, runtime: Runtime, job: Job, progress: Progress, held: HeldLease) -> None:
        self._runtime = runtime
        self._job = job
        self._model = progress.model
        self._collection = progress.collection
        self._held = held
        self._now = datetime.now(UTC)
        self._encoder = ModelEncoder(
            runtime.encoders,
            runtime.patience,
            progress.model,
            progress.digest,
            runtime.settings.encode_timeout_seconds,
        )
        self._points: list[Point] = []
        self._payloads: dict[UUID, PhotoPayload] = {}
        self._dead: list[tuple[Described, str]] = []
        self._unchanged = 0

    def run(self, listed: Sequence[Listed]) -> Outcome:
        """Index the entries; when this returns, Qdrant has confirmed all that was stored."""
        photos = [self._described(one) for one in listed if not one.duplicate]
        existing = self._existing(photos)
        self._read_and_encode(photos, existing)
        self._store(existing)
        return Outcome(
            stored=len(self._points) + len(self._payloads),
            unchanged=self._unchanged,
            duplicate=len(listed) - len(photos),
            dead=tuple(self._letter(photo, reason) for photo, reason in self._dead),
            encoded=len(self._points),
        )

    def give_up(self, listed: Sequence[Listed], attempts: int) -> Outcome:
        """Make dead letters of the entries that no earlier attempt of this job has stored."""
        photos = [self._described(one) for one in listed if not one.duplicate]
        existing = self._existing(photos)
        reason = f"given up: indexing its chunk was begun {attempts} times and never ended"
        self._dead = [
            (photo, reason)
            for photo in photos
            if existing.get(photo.point, {}).get("job_id") != self._job.id
        ]
        self._store(existing)
        stored = len(photos) - len(self._dead)
        return Outcome(
            stored=stored,
            unchanged=0,
            duplicate=len(listed) - len(photos),
            dead=tuple(
                replace(self._letter(photo, why), attempts=attempts) for photo, why in self._dead
            ),
            encoded=stored,
        )

    def _existing(self, photos: Sequence[Described]) -> dict[UUID, Mapping[str, object]]:
        ids = [one.point for one in photos]
        return self._runtime.patience.wait_out(
            lambda: self._runtime.points.payloads(self._collection, ids)
        )

    def _described(self, one: Listed) -> Described:
        source = self._job.source_name
        return Described(
            one.entry, point_id(self._job.spec.gallery, source, one.entry.path), source
        )

    def _read_and_encode(
        self, photos: Sequence[Described], existing: Mapping[UUID, Mapping[str, object]]
    ) -> None:
        readable: list[Described] = []
        for photo in photos:
            if photo.entry.problem:
                self._dead.append((photo, photo.entry.problem))
            else:
                readable.append(photo)
        limits = self._encoder.limits
        batch: list[ReadPhoto] = []
        batch_bytes = 0
        for read in self._runtime.reader.read(readable, limits.photo_bytes):
            if isinstance(read, Unreadable):
                self._dead.append((read.photo, read.reason))
            elif self._needs_encoding(read, existing.get(read.photo.point)):
                if batch and not limits.holds(len(batch) + 1, batch_bytes + len(read.data)):
                    self._encode(batch)
                    batch, batch_bytes = [], 0
                batch.append(read)
                batch_bytes += len(read.data)
        if batch:
            self._encode(batch)

    def _needs_encoding(self, read: ReadPhoto, existing: Mapping[str, object] | None) -> bool:
        decision = decide(read.photo, read.sha256, existing, self._job.id, self._now)
        if decision.work is Work.ENCODE:
            return True
        if decision.payload is None:
            self._unchanged += 1
        else:
            self._payloads[read.photo.point] = decision.payload
        return False

    def _encode(self, batch: Sequence[ReadPhoto]) -> None:
        self._held.check()
        outcomes = self._encoder.encode([read.data for read in batch])
        for read, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, LandmarksError):
                self._dead.append((read.photo, str(outcome)))
            else:
                self._points.append(self._point(read, outcome))

    def _point(self, read: ReadPhoto, encoded: Encoded) -> Point:
        payload = payload_of(
            read.photo,
            sha256=read.sha256,
            width=encoded.width,
            height=encoded.height,
            indexed_at=self._now,
            job_id=self._job.id,
        )
        return Point(read.photo.point, encoded.vector, payload.to_payload())

    def _store(self, existing: Mapping[UUID, Mapping[str, object]]) -> None:
        """Write what changed. Each write can be repeated, so an attempt that dies does no harm."""
        points, wait_out = self._runtime.points, self._runtime.patience.wait_out
        payloads = {point: payload.to_payload() for point, payload in self._payloads.items()}
        fresh = {point.id for point in self._points} | payloads.keys()
        stale = [
            photo.point
            for photo, _ in self._dead
            if is_stale(existing.get(photo.point)) is False and photo.point not in fresh
        ]
        self._held.check()
        wait_out(lambda: points.upsert(self._collection, self._points))
        wait_out(lambda: points.overwrite_payloads(self._collection, payloads))
        wait_out(lambda: points.set_payload(self._collection, stale, {"stale": True}))

    def _letter(self, photo: Described, reason: str) -> DeadLetter:
        return DeadLetter(self._model, photo.entry, reason, self._now, self._held.lease.attempts)
