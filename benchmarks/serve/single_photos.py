"""Figure 2: many callers with a photo each, beside few with many."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.harness import Bench, Case, Measurement, in_turn, ratios, typical
from benchmarks.serve.loads import CLIENTS, batches, singles
from benchmarks.services import encoder


def case(model: str) -> Case:
    """Return the figures `serve-2`: 32 single clients ÷ `BatchEncode`, and their p95."""
    rate, late = _names(model)
    return Case({rate: ">= 0.90", late: "<= 1.0"}, partial(_measure, model))


def _names(model: str) -> tuple[str, str]:
    return f"serve-2-{model}", f"serve-2-{model}-p95"


def _measure(model: str, bench: Bench) -> Mapping[str, Measurement]:
    with encoder(model) as server, encoder(model, batch_size=1) as unbatched:
        alone, together, one_by_one = in_turn(
            bench.effort.repetitions,
            lambda: singles(bench, server.target, model),
            lambda: batches(bench, server.target, model),
            lambda: singles(bench, unbatched.target, model),
        )
    rates = [each.rate() for each in alone]
    batched = [each.rate() for each in together]
    late, without = [each.p95() for each in alone], [each.p95() for each in one_by_one]
    rate_name, late_name = _names(model)
    return {
        rate_name: Measurement(
            ratios(rates, batched),
            f"{CLIENTS} clients: {typical(rates, 'photos/s')};"
            f" BatchEncode: {typical(batched, 'photos/s')}; clients on the same cores",
        ),
        late_name: Measurement(
            ratios(late, without),
            f"p95 of {CLIENTS} clients: {typical([1000 * each for each in late], 'ms')};"
            f" of the same clients of the service with batches of 1:"
            f" {typical([1000 * each for each in without], 'ms')}",
        ),
    }
