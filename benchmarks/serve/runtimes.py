"""Figure 3: the chosen runtime beside torch as it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.baseline_loop import LoopRun, bare_loop
from benchmarks.harness import Bench, Case, Measurement, in_turn, ratios, typical
from benchmarks.machine import cores
from benchmarks.serve.sweep import sweep, trial_of

_GOALS = {"vgg16": ">= 1.2"}
_OTHERS = ">= 3"


def case(model: str) -> Case:
    """Return the figure `serve-3`: the service's plan ÷ torch eager, channels last, float32."""
    return Case({_name(model): _GOALS.get(model, _OTHERS)}, partial(_measure, model))


def _name(model: str) -> str:
    return f"serve-3-{model}"


def _measure(model: str, bench: Bench) -> Mapping[str, Measurement]:
    effort = bench.effort
    with bare_loop(model, bench.photos) as loop:
        plan = loop.plan()
        eager, tried = sweep(loop, effort, "torch", "float32", decode=False)
        # One batch on all cores is how torch is served where nobody looked further.
        plain = LoopRun(
            effort.seconds,
            effort.warm_seconds,
            "torch",
            "float32",
            workers=1,
            threads=len(cores()),
            batch=8,
            decode=False,
        )
        ours, best, simple = in_turn(
            effort.repetitions,
            lambda: loop.rate(trial_of(plan, effort)),
            lambda: loop.rate(eager),
            lambda: loop.rate(plain),
        )
    conditions = (
        f"{plan}: {typical(ours, 'photos/s')}; torch eager, channels last, float32, as {plain}:"
        f" {typical(simple, 'photos/s')}; at its best ({eager}; of {tried} tried):"
        f" {typical(best, 'photos/s')}; its allocator tuned in both; photos decoded beforehand"
    )
    return {_name(model): Measurement(ratios(ours, simple), conditions)}
