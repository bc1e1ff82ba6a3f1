"""All figures of the encoder service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.harness import Case
from benchmarks.serve import batch, cold_start, overload, replicas, runtimes
from benchmarks.serve import peer_comparison as rivals
from benchmarks.serve import single_photos as singles


def serve_cases(models: Sequence[str]) -> Iterator[Case]:
    """Yield the figures `serve-1` to `serve-7` of each model."""
    for place, model in enumerate(models):
        yield batch.case(model)
        yield singles.case(model)
        yield runtimes.case(model)
        yield from rivals.cases(model)
        yield overload.case(model)
        yield replicas.replicas_case(model)
        yield replicas.neighbours_case(model, models[(place + 1) % len(models)])
        yield cold_start.case(model)
