"""Figure 5: five times what the service can do.

Generating a flood of calls costs more than refusing it. So with two cores or more, half of them are
the client's, and the others the service's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

from benchmarks.baseline_loop import bare_loop
from benchmarks.harness import Bench, Case, Measurement, typical
from benchmarks.load_generator import Phase, traffic_of
from benchmarks.load_results import Traffic, Window
from benchmarks.machine import cores, resident_bytes
from benchmarks.processes import Server
from benchmarks.serve.loads import CLIENTS, batch_alone, phase, single
from benchmarks.services import encoder

_OFFERED = 5
# What may wait: so many seconds of work. More is no queue but a delay.
_QUEUE_SECONDS = 2.0
_FULL_RATE = 0.9
_STEP_SECONDS = 0.25
_RECOVERY_SECONDS = 8.0


@dataclass(frozen=True)
class _Overload:
    """One overload: what the service could do before, and what came of it."""

    capacity: float
    unloaded_seconds: float
    queue_seconds: float
    offered: float
    goodput: float
    p95: float
    refused: int
    memory_growth: float
    recovered_seconds: float
    client_busy: float


def case(model: str) -> Case:
    """Return the figures `serve-5`: goodput, waiting, memory and recovery."""
    name = f"serve-5-{model}"
    goals = {
        f"{name}-goodput": ">= 0.9",
        f"{name}-p95": "<= 1.0",
        f"{name}-memory": "<= 1.05",
        f"{name}-recovery": "<= 2",
    }
    return Case(goals, partial(_measure, model))


def _measure(model: str, bench: Bench) -> Mapping[str, Measurement]:
    its, ours = _halves(cores())
    with bare_loop(model, bench.photos) as loop:
        batch = loop.plan().batch
    with encoder(model, its) as server:
        unloaded = traffic_of(batch_alone(bench, server.target, model, batch), ours)
        before = traffic_of(single(bench, server.target, model, phase(bench)), ours)
    alone, capacity = unloaded.p95(), before.rate()
    photos = max(CLIENTS, ceil(_QUEUE_SECONDS * capacity))
    runs = []
    for _ in range(max(1, bench.effort.repetitions // 2)):
        with encoder(model, its, max_queued_photos=photos) as server:
            runs.append(_overload(bench, server, ours, model, alone, photos))
    return _figures(model, runs, photos)


def _halves(numbers: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the cores of the service and of its client; a single core is of both."""
    half = len(numbers) // 2
    return (numbers[:half], numbers[half:]) if half else (numbers, numbers)


def _overload(
    bench: Bench, server: Server, ours: Sequence[int], model: str, alone: float, photos: int
) -> _Overload:
    # The capacity once more, of this very process: the machine may have changed.
    capacity = traffic_of(single(bench, server.target, model, phase(bench)), ours).rate()
    phases = (
        Phase(bench.effort.overload_seconds, rate=_OFFERED * capacity),
        Phase(_RECOVERY_SECONDS),
    )
    with _Memory(server.process.pid) as memory:
        traffic = traffic_of(single(bench, server.target, model, *phases), ours)
    window = traffic.windows[0]
    codes = traffic.codes(window)
    return _Overload(
        capacity=capacity,
        unloaded_seconds=alone,
        queue_seconds=photos / capacity,
        offered=sum(codes.values()) / window.seconds,
        goodput=traffic.completed_rate(window),
        p95=traffic.p95(window),
        refused=codes["RESOURCE_EXHAUSTED"],
        memory_growth=memory.growth(window),
        recovered_seconds=_recovered(traffic, window.end, capacity),
        client_busy=traffic.busy[0],
    )


def _recovered(traffic: Traffic, end: float, capacity: float) -> float:
    """Return after how many seconds two seconds' worth of photos came at the full rate again."""
    steps = int(_RECOVERY_SECONDS / _STEP_SECONDS)
    for step in range(steps):
        begin = end + step * _STEP_SECONDS
        if traffic.completed_rate(Window(begin, begin + 2.0)) >= _FULL_RATE * capacity:
            return step * _STEP_SECONDS
    return _RECOVERY_SECONDS


class _Memory:
    """Looks at how much memory a process has, several times a second, while the block runs."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def growth(self, window: Window) -> float:
        """Return the most of the last third of a window ÷ the most of its first third."""
        third = window.seconds / 3
        first = self._most(Window(window.begin, window.begin + third))
        return self._most(Window(window.end - third, window.end)) / first

    def _most(self, window: Window) -> int:
        return max(size for when, size in self._seen if window.begin <= when < window.end)

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            self._seen.append((time.monotonic(), resident_bytes(self._pid)))


def _figures(model: str, runs: list[_Overload], photos: int) -> Mapping[str, Measurement]:
    name = f"serve-5-{model}"
    offered = [run.offered / run.capacity for run in runs]
    setting = (
        f"capacity with {CLIENTS} clients: {typical([run.capacity for run in runs], 'photos/s')};"
        f" offered {typical(offered, 'times that')}; the queue holds {photos} photos; half of the"
        " cores are the service's, half the client's, which computes"
        f" {max(run.client_busy for run in runs):.0%} of its time"
    )
    return {
        f"{name}-goodput": Measurement(
            [run.goodput / run.capacity for run in runs],
            f"{setting}; refused {typical([run.refused for run in runs], 'calls')}",
        ),
        f"{name}-p95": Measurement(
            [run.p95 / (3 * run.unloaded_seconds + run.queue_seconds) for run in runs],
            f"p95 of accepted photos: {typical([run.p95 for run in runs], 's')}; a batch unloaded:"
            f" {1000 * runs[0].unloaded_seconds:.0f} ms; a full queue:"
            f" {typical([run.queue_seconds for run in runs], 's')}; {setting}",
        ),
        f"{name}-memory": Measurement(
            [run.memory_growth for run in runs],
            f"resident memory, the most of the last third ÷ the most of the first; {setting}",
        ),
        f"{name}-recovery": Measurement(
            [run.recovered_seconds for run in runs],
            f"seconds until {_FULL_RATE:.0%} of the capacity comes out again, with"
            f" {CLIENTS} clients; {setting}",
        ),
    }
