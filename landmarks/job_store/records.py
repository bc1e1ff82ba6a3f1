"""Jobs in Redis as values: the job, its progress, its chunks and its dead letters."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from landmarks.job_store.spec import IndexSpec
from landmarks.photos.entry import Entry
from landmarks.photos.listing_counts import LabelCounts, Skipped


class JobState(StrEnum):
    """The state of a job; the words of the API's `JobState`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class ModelProgress:
    """One model's counts. `encoded` is `stored` less photos whose payload alone changed.

    `cancelled` are photos that were not done when the job was cancelled; `pruned` are points that
    were deleted as their photos are gone, and are not in `listed`.
    """

    model: str
    collection: str
    digest: str
    listed: int
    stored: int
    unchanged: int
    dead: int
    duplicate: int
    cancelled: int
    encoded: int
    pruned: int
    photos_per_second: float

    @property
    def done(self) -> int:
        """How many photos are accounted for, without the cancelled ones; `listed` at the end."""
        return self.stored + self.unchanged + self.dead + self.duplicate

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate; None if the rate is unknown."""
        if not self.photos_per_second:
            return None
        return (self.listed - self.done - self.cancelled) / self.photos_per_second


@dataclass(frozen=True)
class NotPruned:
    """Why a job that was to prune did not; `points` how many it would, if that was confirmed."""

    reason: str
    points: int = 0


@dataclass(frozen=True)
class PhotoCounts:
    """Counts of a job's photos, each once for all its models.

    `done` are accounted for with every model, `dead` could not be indexed with one at least.
    """

    listed: int
    done: int
    dead: int


@dataclass(frozen=True)
class Job:
    """A job. `source_name` is the one in use, once the source was opened.

    `listing` is the generation of its listing, 0 before. `outcome` says in words what counts do
    not. `replaced` is the collection that was live before the one that the job built and promoted.
    `not_pruned` is None unless the job was to prune and must not. Once the listing is complete,
    `skipped` counts files that are no photos, and `labels` photos by label; None before.
    """

    id: str
    spec: IndexSpec
    state: JobState
    error: str
    outcome: str
    replaced: str
    source_name: str
    listing: int
    listing_complete: bool
    created: datetime
    updated: datetime
    progress: tuple[ModelProgress, ...]
    not_pruned: NotPruned | None = None
    photos: PhotoCounts = PhotoCounts(0, 0, 0)
    skipped: tuple[Skipped, ...] = ()
    labels: LabelCounts | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over, unless it is resumed or its dead letters are retried."""
        return self.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @classmethod
    def from_fields(cls, job_id: str, fields: Mapping[str, str]) -> Self:
        """Read the fields of a job's hash in Redis."""
        spec = IndexSpec.from_json(fields["spec"])
        progress = tuple(_progress(model, fields) for model in spec.models)
        return cls(
            id=job_id,
            spec=spec,
            state=JobState(fields["state"]),
            error=fields.get("error", ""),
            outcome=fields.get("outcome", ""),
            replaced=fields.get("replaced", ""),
            source_name=fields.get("source_name", ""),
            listing=int(fields.get("listing", 0)),
            listing_complete=fields.get("listing_complete") == "1",
            created=_time(fields["created"]),
            updated=_time(fields["updated"]),
            progress=progress,
            photos=PhotoCounts(
                listed=max((one.listed for one in progress), default=0),
                done=min((one.done for one in progress), default=0),
                # Jobs of earlier releases lack it; nearly always, all models fail at the same.
                dead=int(
                    fields.get("dead_photos") or max((one.dead for one in progress), default=0)
                ),
            ),
            not_pruned=NotPruned(reason, int(fields.get("not_pruned_points", 0)))
            if (reason := fields.get("not_pruned"))
            else None,
            skipped=tuple(map(Skipped.from_values, json.loads(fields.get("skipped") or "[]"))),
            labels=LabelCounts.from_values(json.loads(fields["labels"]))
            if fields.get("labels")
            else None,
        )


@dataclass(frozen=True)
class DeadLetter:
    """A photo that could not be indexed, with all that a retry needs."""

    model: str
    entry: Entry
    reason: str
    time: datetime  # aware
    attempts: int
    source: str = ""  # as in `Listed`

    def to_json(self) -> str:
        """Return the letter as JSON."""
        return json.dumps(asdict(self) | {"time": self.time.isoformat()})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` returned."""
        values = json.loads(text)
        entry, time = Entry.from_values(values["entry"]), datetime.fromisoformat(values["time"])
        return cls(**values | {"entry": entry, "time": time})


@dataclass(frozen=True)
class Listed:
    """An entry of a chunk; a `duplicate` if an earlier entry named the same photo.

    `source` is the name of its source if that is not the job's, as when a collection with several
    sources is rebuilt.
    """

    entry: Entry
    duplicate: bool = False
    source: str = ""


@dataclass(frozen=True)
class ChunkOutcome:
    """Counts of a chunk's photos; each photo is in exactly one of the first four.

    `pruned` are points, which belong to no chunk.
    """

    stored: int
    unchanged: int
    duplicate: int
    dead: tuple[DeadLetter, ...]
    encoded: int
    pruned: int = 0

    @property
    def total(self) -> int:
        """How many photos are accounted for."""
        return self.stored + self.unchanged + self.duplicate + len(self.dead)


@dataclass(frozen=True)
class Lease:
    """The right to do a piece of a job's work for a while.

    `field` names the work, as in `task_messages`. `token` is the fencing token: a later lease of
    the same work has a higher one, and results with a lower one are refused. `attempts` counts how
    often the work was begun, this time included, without attempts that an outage ended.
    """

    job_id: str
    field: str
    token: int
    attempts: int

    @property
    def holder(self) -> str:
        """The lease as a text, as points are claimed for it."""
        return f"{self.job_id}|{self.field}|{self.token}"


@dataclass(frozen=True)
class LeaseState:
    """A lease that somebody has: `<job>/<field>`, and a value that changes when it is renewed.

    `overdue`: by the clock of Redis, it was not renewed in time.
    """

    name: str
    value: str
    overdue: bool

    @property
    def seconds(self) -> float:
        """How long it lasts without being renewed."""
        return int(self.value.split(":")[1]) / 1000


def pack_chunk(chunk: Sequence[Listed]) -> bytes:
    """Return a chunk as JSON, compressed, as paths and columns repeat themselves."""
    rows = [{**asdict(one.entry), "listed": [one.duplicate, one.source]} for one in chunk]
    return zlib.compress(json.dumps(rows).encode())


def unpack_chunk(packed: bytes) -> list[Listed]:
    """Read what `pack_chunk` returned."""
    rows = json.loads(zlib.decompress(packed))
    found = []
    for row in rows:
        duplicate, source = row.pop("listed")
        found.append(Listed(Entry.from_values(row), duplicate, source))
    return found


def _progress(model: str, fields: Mapping[str, str]) -> ModelProgress:
    def count(name: str) -> int:
        return int(fields.get(f"{name}:{model}", 0))

    found = ModelProgress(
        model=model,
        collection=fields.get(f"collection:{model}", ""),
        digest=fields.get(f"digest:{model}", ""),
        listed=int(fields.get("listed", 0)),
        stored=count("stored"),
        unchanged=count("unchanged"),
        dead=count("dead"),
        duplicate=count("duplicate"),
        cancelled=count("cancelled"),
        encoded=count("encoded"),
        pruned=count("pruned"),
        photos_per_second=0.0,
    )
    seconds = (count("last") - count("first")) / 1000
    return replace(found, photos_per_second=found.done / seconds) if seconds > 0 else found


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)
