"""All figures of scale. They take hours, and are measured only on request."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Case
from benchmarks.scale import collection_sizes, listing

PREFIX = "scale"


def scale_cases() -> Iterator[Case]:
    """Yield the figures `scale-1` (vectors) and `scale-2` (listing)."""
    yield from collection_sizes.cases()
    yield listing.case()
