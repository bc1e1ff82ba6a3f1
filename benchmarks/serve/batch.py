"""Figure 1: what the service costs beside the bare loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.baseline_loop import bare_loop
from benchmarks.harness import Bench, Case, Measurement, in_turn, ratios, typical
from benchmarks.serve.loads import batches
from benchmarks.serve.sweep import sweep
from benchmarks.services import encoder

# A fast network has less time to hide the service's own work in.
_GOALS = {"vgg16": ">= 0.95"}
_OTHERS = ">= 0.90"


def case(model: str) -> Case:
    """Return the figure `serve-1`: `BatchEncode` ÷ the best bare loop of the same runtime."""
    return Case({_name(model): _GOALS.get(model, _OTHERS)}, partial(_measure, model))


def _name(model: str) -> str:
    return f"serve-1-{model}"


def _measure(model: str, bench: Bench) -> Mapping[str, Measurement]:
    effort = bench.effort
    with bare_loop(model, bench.photos) as loop:
        plan = loop.plan()
        best, tried = sweep(loop, effort, plan.runtime, plan.precision, decode=True)
        with encoder(model) as server:
            service, bare = in_turn(
                effort.repetitions,
                lambda: batches(bench, server.target, model).rate(),
                lambda: loop.rate(best),
            )
    conditions = (
        f"service ({plan}): {typical(service, 'photos/s')}, the client on the same cores;"
        f" bare loop ({best}; the best of {tried}): {typical(bare, 'photos/s')}"
    )
    return {_name(model): Measurement(ratios(service, bare), conditions)}
