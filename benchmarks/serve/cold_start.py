"""Figure 7: how long a model takes to be served, beside a bare script."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from benchmarks.baseline_loop import bare_loop
from benchmarks.baseline_start import StartPlan
from benchmarks.harness import (
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    typical,
)
from benchmarks.models import onnx_of
from benchmarks.processes import running, wait_for_serving, wait_until
from benchmarks.services import encoder_command, encoder_environment
from landmarks_tools.local_stack.free_ports import free_ports, listens

_LOOK_EVERY_SECONDS = 0.01


def case(model: str) -> Case:
    """Return the figure `serve-7`: start to SERVING ÷ a script that imports, loads and warms."""
    return Case({_name(model): "<= 1.3"}, partial(_measure, model))


def _name(model: str) -> str:
    return f"serve-7-{model}"


def _measure(model: str, bench: Bench) -> Mapping[str, Measurement]:
    with bare_loop(model, bench.photos[:1]) as loop:  # what is made once is made now
        plan = loop.plan()
    prepared = onnx_of(model)
    start = StartPlan(
        model=model,
        runtime=plan.runtime,
        precision=plan.precision,
        threads=plan.threads,
        batch=plan.batch,
        side=prepared.spec.input_size,
        onnx=str(prepared.onnx),
    )
    service, script = in_turn(
        bench.effort.repetitions, partial(_service, model), partial(_script, start)
    )
    how = "session and numpy" if plan.runtime == "onnxruntime" else "torch and the weights"
    conditions = (
        f"service to SERVING: {typical([1000 * each for each in service], 'ms')}; script"
        f" ({how}): {typical([1000 * each for each in script], 'ms')}; {plan}; weights and the"
        " prepared model cached, files in the system's cache"
    )
    return {_name(model): Measurement(ratios(service, script), conditions)}


def _service(model: str) -> float:
    [port] = free_ports(1)
    began = time.monotonic()
    with running(encoder_command(), encoder_environment(model, port)) as process:
        wait_until(process, lambda: listens(port), "it to listen", _LOOK_EVERY_SECONDS)
        wait_for_serving(port, model)
        return time.monotonic() - began


def _script(start: StartPlan) -> float:
    command = [sys.executable, "-m", "benchmarks.baseline_start", json.dumps(asdict(start))]
    began = time.monotonic()
    with running(command, talks=True) as process:
        if process.stdout is None or not process.stdout.readline():
            raise CannotMeasureError("the bare script ended")
        return time.monotonic() - began
