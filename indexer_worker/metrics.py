"""What a worker counts, by model; docs/observability.md says what each metric means."""

from __future__ import annotations

from prometheus_client import Counter

from indexer_worker.records import Outcome

_photos = Counter(
    "landmarks_indexer_photos", "Photos of chunks that have ended.", ["model", "outcome"]
)


def chunk_ended(model: str, outcome: Outcome) -> None:
    """Count the photos of a chunk."""
    _photos.labels(model, "stored").inc(outcome.stored)
    _photos.labels(model, "unchanged").inc(outcome.unchanged)
    _photos.labels(model, "duplicate").inc(outcome.duplicate)
    _photos.labels(model, "dead").inc(len(outcome.dead))
