"""The worker's metrics, by model; docs/observability.md documents them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge

from landmarks.job_store.records import ChunkOutcome

_OUTCOMES = ("stored", "unchanged", "duplicate", "dead")

_photos = Counter(
    "landmarks_indexer_photos", "Photos of chunks that have ended.", ["model", "outcome"]
)
_active = Gauge("landmarks_indexer_active_jobs", "Jobs of the whole system that have not ended.")
_differing = Gauge(
    "landmarks_collection_differing_points",
    "Points that were not the same on all nodes when the collection's copies were last checked.",
    ["collection"],
)
_waiting = Gauge(
    "landmarks_indexer_queue_length", "Messages that wait in a model's queue.", ["model"]
)


def begun(models: Iterable[str]) -> None:
    """Create the counters at 0, so that the first dead photo shows as an increase."""
    for model in models:
        for outcome in _OUTCOMES:
            _photos.labels(model, outcome)
        _waiting.labels(model)


def chunk_ended(model: str, outcome: ChunkOutcome) -> None:
    """Count the photos of a chunk."""
    _photos.labels(model, "stored").inc(outcome.stored)
    _photos.labels(model, "unchanged").inc(outcome.unchanged)
    _photos.labels(model, "duplicate").inc(outcome.duplicate)
    _photos.labels(model, "dead").inc(len(outcome.dead))


def jobs_are_active(count: int) -> None:
    """Set how many jobs have not ended."""
    _active.set(count)


def copies_differ(points: Mapping[str, int]) -> None:
    """Set how many points of each collection differed when it was last checked."""
    _differing.clear()  # of collections that were dropped
    for collection, count in points.items():
        _differing.labels(collection).set(count)


def messages_wait(model: str, count: int) -> None:
    """Set how many messages wait in a model's queue."""
    _waiting.labels(model).set(count)
