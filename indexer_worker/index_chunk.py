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
from indexer_worker.known_photos import KnownPhoto, KnownPhotos
from indexer_worker.leased_work import Attempt, leased_attempt
from indexer_worker.photo_reader import ReadPhoto, UnchangedPhoto, UnreadablePhoto
from indexer_worker.retry import TRANSIENT_ERRORS
from landmarks.batched import batched
from landmarks.errors import LandmarksError
from landmarks.job_store.records import ChunkOutcome, DeadLetter, Listed
from landmarks.vector_store.held_photos import HeldPhoto
from landmarks.vector_store.marks import Mark, Seen
from landmarks.vector_store.points import Payload, PayloadValue, PhotoPayload, Point, point_id
from landmarks.vector_store.said import Said

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
        self._known = KnownPhotos(context, self._job.spec.gallery, self._collection)
        self._kept: dict[UUID, HeldPhoto] = {}
        self._newly_encoded = 0
        self._would_encode = 0
        self._reused = 0  # photos whose vector was known
        self._dead: list[tuple[SourcePhoto, str]] = []
        self._unchanged = 0

    def run(self, listed: Sequence[Listed]) -> ChunkOutcome:
        """Index the entries; Qdrant has confirmed every write when this returns."""
        photos = [self._source_photo(one) for one in listed if not one.duplicate]
        existing = self._existing(photos)
        self._read_and_encode(self._not_taken_out(photos, existing), existing)
        self._store(photos, existing)
        return ChunkOutcome(
            stored=self._encoded + self._reused + len(self._payloads),
            unchanged=self._unchanged,
            duplicate=len(listed) - len(photos),
            dead=tuple(self._letter(photo, reason) for photo, reason in self._dead),
            encoded=self._encoded,
        )

    @property
    def _encoded(self) -> int:
        return self._newly_encoded + self._would_encode

    def give_up(self, listed: Sequence[Listed], attempts: int) -> ChunkOutcome:
        """Make dead letters of the entries that no attempt of this job has stored."""
        photos = [self._source_photo(one) for one in listed if not one.duplicate]
        reason = f"given up: indexing its chunk was begun {attempts} times and never ended"
        existing: dict[UUID, Mapping[str, object]] = {}
        try:
            existing = self._existing(photos)
            self._look_up(photos, existing)
        except TRANSIENT_ERRORS:
            raise
        except LandmarksError as error:  # what else would end this?
            reason = f"{reason}; its point cannot be read: {error}"
        taken_out = self._known.taken_out([one.point for one in photos])
        self._dead = [
            (photo, reason)
            for photo in photos
            if existing.get(photo.point, {}).get("job_id") != self._job.id
            and photo.point not in taken_out
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

    def _look_up(
        self, photos: Sequence[SourcePhoto], existing: Mapping[UUID, Mapping[str, object]]
    ) -> None:
        # The collection that a reindex builds catches up with what was said meanwhile.
        again = self._job.spec.reindex is not None
        self._known.look_up([one.point for one in photos if again or one.point not in existing])

    def _not_taken_out(
        self, photos: Sequence[SourcePhoto], existing: Mapping[UUID, Mapping[str, object]]
    ) -> list[SourcePhoto]:
        """Leave out the photos that a person has taken out of the gallery; they are unchanged."""
        self._look_up(photos, existing)
        out = self._known.taken_out([one.point for one in photos])
        self._unchanged += len(out)
        # Not yet so in this collection, as it is of another model.
        self._kept.update(
            (one, held)
            for one, held in out.items()
            if one not in self._seen or self._seen[one].mark != Mark.KEPT
        )
        return [one for one in photos if one.point not in out]

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
                    self._encode(batch, existing)
                    batch, batch_bytes = [], 0
                batch.append(read)
                batch_bytes += len(read.data)
        if batch:
            self._encode(batch, existing)

    def _needs_encoding(
        self, read: ReadPhoto | UnchangedPhoto, sha256: str, existing: Mapping[str, object] | None
    ) -> bool:
        decision = decide(
            read.photo,
            sha256,
            read.version,
            existing,
            self._job.id,
            self._now,
            read.inside,
            self._known.said_of(read.photo.point),
        )
        if decision.action is Action.ENCODE:
            return True
        if decision.payload is None:
            self._unchanged += 1
        else:
            self._payloads[read.photo.point] = decision.payload
        return False

    def _encode(
        self, batch: Sequence[ReadPhoto], existing: Mapping[UUID, Mapping[str, object]]
    ) -> None:
        """Encode the photos whose vector is not known by their bytes."""
        self._held.check()
        known = self._known.of(batch, existing)
        unknown: list[ReadPhoto] = []
        for read in batch:
            one = known[read.photo.point]
            if one.said.taken_out:
                self._leave_out(read, one)
            elif one.vector is None:
                unknown.append(read)
            else:
                self._reused += 1
                encoded = EncodedPhoto(one.vector, one.width, one.height)
                self._points.append(self._point(read, encoded, one.said))
        if self._job.spec.dry_run:
            self._would_encode += len(unknown)
            return
        outcomes = self._encoder.encode([read.data for read in unknown]) if unknown else []
        for read, outcome in zip(unknown, outcomes, strict=True):
            if isinstance(outcome, LandmarksError):
                self._dead.append((read.photo, str(outcome)))
            else:
                self._newly_encoded += 1
                said = known[read.photo.point].said
                self._points.append(self._point(read, outcome, said))

    def _leave_out(self, read: ReadPhoto, known: KnownPhoto) -> None:
        """Keep a photo without showing it: a person took it out where it was before."""
        self._unchanged += 1
        payload = self._payload(read, known.width, known.height, known.said)
        point = read.photo.point
        self._kept[point] = HeldPhoto(point, payload, known.vector, shown=False, seen=Seen())

    def _point(self, read: ReadPhoto, encoded: EncodedPhoto, said: Said) -> Point:
        payload = self._payload(read, encoded.width, encoded.height, said)
        return Point(read.photo.point, encoded.vector, payload)

    def _payload(self, read: ReadPhoto, width: int, height: int, said: Said) -> Payload:
        return payload_of(
            read.photo,
            sha256=read.sha256,
            version=read.version,
            width=width,
            height=height,
            indexed_at=self._now,
            job_id=self._job.id,
            inside=read.inside,
            said=said,
        ).to_payload()

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
        self._fenced.store(self._seen, self._points, payloads, self._kept)
        written = {point.id for point in self._points} | payloads.keys() | self._kept.keys()
        self._fenced.let_be(self._seen, (one.point for one in photos if one.point not in written))

    def _letter(self, photo: SourcePhoto, reason: str) -> DeadLetter:
        attempts = self._held.lease.attempts
        return DeadLetter(
            self._model, photo.entry, reason, self._now, attempts, source=photo.source
        )
