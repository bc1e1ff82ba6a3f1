"""The best way to run the bare loop: workers × threads × batch × who decodes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.baseline_loop import BareLoop, LoopRun
from benchmarks.harness import CannotMeasureError, Effort
from benchmarks.machine import cores
from encoder_service.execution_plan import ExecutionPlan

_BATCHES = (1, 2, 4, 8, 16)


def sweep(
    loop: BareLoop, effort: Effort, runtime: str, precision: str, *, decode: bool
) -> tuple[LoopRun, int]:
    """Return the fastest trial for a runtime, as long as a measurement; and of how many."""
    trials = list(_trials(effort, runtime, precision, decode=decode))
    best = max(trials, key=loop.rate)
    found = LoopRun(**{**vars(best), "seconds": effort.seconds, "warm": effort.warm_seconds})
    return found, len(trials)


def trial_of(plan: ExecutionPlan, effort: Effort) -> LoopRun:
    """Return the trial that runs a plan of the service, photos decoded beforehand."""
    if plan.device != "cpu":
        raise CannotMeasureError(f"the bars are those of a CPU, and the device is {plan.device}")
    return LoopRun(
        seconds=effort.seconds,
        warm=effort.warm_seconds,
        runtime=plan.runtime,
        precision=plan.precision,
        workers=plan.workers,
        threads=plan.threads,
        batch=plan.batch,
        decode=False,
    )


def shares(quick: bool = False) -> list[tuple[int, int]]:
    """Return ways to share out the cores, workers × threads; the first is a thread for each."""
    count = len(cores())
    if quick:
        return [(count, 1)]
    found = [(count, 1), (1, count), (count + 1, 1), (2 * count, 1), (max(1, count // 2), 2)]
    return list(dict.fromkeys(found))


def _trials(effort: Effort, runtime: str, precision: str, *, decode: bool) -> Iterator[LoopRun]:
    for workers, threads in shares(effort.quick):
        for batch in _BATCHES[1:2] if effort.quick else _BATCHES:
            for decoders in (0, len(cores())) if decode else (0,):
                yield LoopRun(
                    seconds=effort.tune_seconds,
                    warm=effort.tune_seconds / 4,
                    runtime=runtime,
                    precision=precision,
                    workers=workers,
                    threads=threads,
                    batch=batch,
                    decoders=decoders,
                    decode=decode,
                )
