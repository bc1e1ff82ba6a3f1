"""All figures of indexing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.harness import Case
from benchmarks.index import metadata, storing, whole_path


def index_cases(models: Sequence[str]) -> Iterator[Case]:
    """Yield the figures `index-1` to `index-5`."""
    for model in models:
        yield whole_path.case(model)
        yield metadata.case(model)
    yield storing.upserts_case()
    yield storing.optimising_case()
