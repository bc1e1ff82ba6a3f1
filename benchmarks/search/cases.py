"""All figures of searching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.harness import Case
from benchmarks.search import by_photo, by_vector


def search_cases(models: Sequence[str]) -> Iterator[Case]:
    """Yield the figures `search-1` to `search-3`."""
    yield by_vector.case()
    yield from by_photo.cases(models)
