"""Indexing one chunk with one model: read, compare, encode, store, and only then count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import cast
from uuid import UUID

import structlog

from indexer_worker.batch_encoder import EncodedPhoto
from indexer_worker.change_detection import (
    Action,
    SourcePhoto,
    decide,
    is_stale,
    known_of,
    payload_of,
)
from indexer_worker.context import WorkerContext
from indexer_worker.fenced_points import FencedPoints
from indexer_worker.leased_work import Attempt, leased_attempt
from indexer_worker.photo_reader import ReadPhoto, UnchangedPhoto, UnreadablePhoto
from indexer_worker.retry import TRANSIENT_ERRORS
from landmarks.batched import batched
from landmarks.errors import LandmarksError
from landmarks.job_store.records import ChunkOutcome, DeadLetter, Listed
from landmarks.vector_store.marks import Seen
from landmarks.vector_store.points import PayloadValue, PhotoPayload, Point, point_id

_log = structlog.get_logger(__name__)

_PARTS = 8


def run_chunk(context: WorkerContext, job_id: str, model: str, number: int) -> None:
    """Index a chunk, unless it is done or another worker holds it."""
    with leased_attempt(context, job_id, model, str(number)) as attempt:
        if attempt is not None:
            _index(attempt, number)


def _index(attempt: Attempt, number: int) -> None:
    context, job, lease = attempt.context, attempt.job, attempt.held.lease
    listed = context.jobs.chunk(job.id, number)
    begun_before = lease.attempts - 1
    if begun_before >= context.settings.chunk_max_attempts:
        if len(listed) > 1:
            _split(attempt, listed)
            return
        outcome = ChunkRun(attempt).give_up(listed, begun_before)
    else:
        outcome = ChunkRun(attempt).run(listed)
    if outcome.total != len(listed):
        raise AssertionError(f"{outcome.total} photos accounted for of {len(listed)}")
    attempt.end(outcome)


def _split(attempt: Attempt, listed: Sequence[Listed]) -> None:
    """Replace a chunk that never ends by parts, until the photo that causes it is alone."""
    context, job, model = attempt.context, attempt.job, attempt.progress.model
    parts = list(batched(listed, ceil(len(listed) / _PARTS)))
    _log.warning("chunk split: its attempts never ended", job=job.id, parts=len(parts))
    for number in context.jobs.split(attempt.held.lease, model, parts):
        context.send_work(job.id, f"{model}/{number}")


class ChunkRun:
    """One attempt at a chunk."""

    def __init__(self, attempt: Attempt) -> None:
        self._context = context = attempt.context
        self._job = attempt.job
        self._model = attempt.progress.model
        self._collection = attempt.progress.collection
        self._held = attempt.held
        self._now = datetime.now(UTC)
        self._encoder = context.encoder(self._model, attempt.progress.digest)
        self._points: list[Point] = []
        self._payloads: dict[UUID, PhotoPayload] = {}
        self._seen: dict[UUID, Seen] = {}
        self._fenced = FencedPoints(context, self._held, self._collection)
        self._would_encode = 0
        self._dead: list[tuple[SourcePhoto, str]] = []
        self._unchanged = 0

    def run(self, listed: Sequence[Listed]) -> ChunkOutcome:
        """Index the entries; Qdrant has confirmed every write when this returns."""
        photos = [self._source_photo(one) for one in listed if not one.duplicate]
        existing = self._existing(photos)
        self._read_and_encode(photos, existing)
        self._store(photos, existing)
        return ChunkOutcome(
            stored=self._encoded + len(self._payloads),
            unchanged=self._unchanged,
            duplicate=len(listed) - len(photos),
            dead=tuple(self._letter(photo, reason) for photo, reason in self._dead),
            encoded=self._encoded,
        )

    @property
    def _encoded(self) -> int:
        return len(self._points) + self._would_encode

    def give_up(self, listed: Sequence[Listed], attempts: int) -> ChunkOutcome:
        """Make dead letters of the entries that no attempt of this job has stored."""
        photos = [self._source_photo(one) for one in listed if not one.duplicate]
        reason = f"given up: indexing its chunk was begun {attempts} times and never ended"
        existing: dict[UUID, Mapping[str, object]] = {}
        try:
            existing = self._existing(photos)
        except TRANSIENT_ERRORS:
            raise
        except LandmarksError as error:  # what else would end this?
            reason = f"{reason}; its point cannot be read: {error}"
        self._dead = [
            (photo, reason)
            for photo in photos
            if existing.get(photo.point, {}).get("job_id") != self._job.id
        ]
        self._store(photos, existing)
        stored = len(photos) - len(self._dead)
        return ChunkOutcome(
            stored=stored,
            unchanged=0,
            duplicate=len(listed) - len(photos),
            dead=tuple(
                replace(self._letter(photo, why), attempts=attempts) for photo, why in self._dead
            ),
            encoded=stored,
        )

    def _existing(self, photos: Sequence[SourcePhoto]) -> dict[UUID, Mapping[str, object]]:
        if not self._collection:  # a dry run, which creates none
            return {}
        ids = [one.point for one in photos]
        holder = self._held.lease.holder
        while True:
            states = self._context.points.states(self._collection, ids)
            self._seen = {one: seen for one, (seen, _) in states.items()}
            if self._job.spec.dry_run:
                break
            self._seen.update(self._fenced.without_damage(self._seen))
            self._fenced.await_others(self._seen)
            if not self._context.unacknowledged.end_those_of(self._collection, ids, holder):
                break
        return {one: payload for one, (seen, payload) in states.items() if not seen.mark}

    def _source_photo(self, one: Listed) -> SourcePhoto:
        source = one.source or self._job.source_name
        return SourcePhoto(
            one.entry, point_id(self._job.spec.gallery, source, one.entry.path), source
        )

    def _read_and_encode(
        self, photos: Sequence[SourcePhoto], existing: Mapping[UUID, Mapping[str, object]]
    ) -> None:
        readable: list[SourcePhoto] = []
        for photo in photos:
            if photo.entry.problem:
                self._dead.append((photo, photo.entry.problem))
            else:
                readable.append(photo)
        limits = self._encoder.limits
        batch: list[ReadPhoto] = []
        batch_bytes = 0
        known = {
            photo.point: known_of(existing.get(photo.point))
            for photo in readable
            if not self._job.spec.verify
        }
        for read in self._context.reader.read(readable, limits.photo_bytes, known):
            before = existing.get(read.photo.point)
            if isinstance(read, UnreadablePhoto):
                self._dead.append((read.photo, read.reason))
            elif isinstance(read, UnchangedPhoto):
                # The file has the version of its point, and so its sha256.
                sha256 = str(before["sha256"]) if before else ""
                self._needs_encoding(read, sha256, before)
            elif self._needs_encoding(read, read.sha256, before):
                if batch and not limits.holds(len(batch) + 1, batch_bytes + len(read.data)):
                    self._encode(batch)
                    batch, batch_bytes = [], 0
                batch.append(read)
                batch_bytes += len(read.data)
        if batch:
            self._encode(batch)

    def _needs_encoding(
        self, read: ReadPhoto | UnchangedPhoto, sha256: str, existing: Mapping[str, object] | None
    ) -> bool:
        decision = decide(
            read.photo, sha256, read.version, existing, self._job.id, self._now, read.inside
        )
        if decision.action is Action.ENCODE:
            return True
        if decision.payload is None:
            self._unchanged += 1
        else:
            self._payloads[read.photo.point] = decision.payload
        return False

    def _encode(self, batch: Sequence[ReadPhoto]) -> None:
        self._held.check()
        if self._job.spec.dry_run:
            self._would_encode += len(batch)
            return
        outcomes = self._encoder.encode([read.data for read in batch])
        for read, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, LandmarksError):
                self._dead.append((read.photo, str(outcome)))
            else:
                self._points.append(self._point(read, outcome))

    def _point(self, read: ReadPhoto, encoded: EncodedPhoto) -> Point:
        payload = payload_of(
            read.photo,
            sha256=read.sha256,
            version=read.version,
            width=encoded.width,
            height=encoded.height,
            indexed_at=self._now,
            job_id=self._job.id,
            inside=read.inside,
        )
        return Point(read.photo.point, encoded.vector, payload.to_payload())

    def _store(
        self, photos: Sequence[SourcePhoto], existing: Mapping[UUID, Mapping[str, object]]
    ) -> None:
        """Write what changed. Each write can be repeated, so an attempt that dies does no harm."""
        if self._job.spec.dry_run:
            return
        payloads: dict[UUID, Mapping[str, PayloadValue]] = {
            point: payload.to_payload() for point, payload in self._payloads.items()
        }
        fresh = {point.id for point in self._points} | payloads.keys()
        for photo, _ in self._dead:
            if is_stale(existing.get(photo.point)) is False and photo.point not in fresh:
                before = cast("Mapping[str, PayloadValue]", existing[photo.point])
                payloads[photo.point] = {**before, "stale": True}
        # Columns of unchanged photos too: the settings may name more columns since then.
        columns = {column for photo in photos for column in photo.entry.columns}
        columns.update(*(point.payload for point in self._points), *payloads.values())
        self._held.check()
        self._context.collections.index_columns_of(self._collection, columns)
        self._fenced.store(self._seen, self._points, payloads)
        written = {point.id for point in self._points} | payloads.keys()
        self._fenced.let_be(self._seen, (one.point for one in photos if one.point not in written))

    def _letter(self, photo: SourcePhoto, reason: str) -> DeadLetter:
        attempts = self._held.lease.attempts
        return DeadLetter(
            self._model, photo.entry, reason, self._now, attempts, source=photo.source
        )
