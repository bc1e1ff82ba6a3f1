"""Figure 6: two replicas, one of which dies; and two models, one of which is overloaded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from benchmarks.harness import (
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    typical,
)
from benchmarks.load_generator import Phase, client, traffic_of
from benchmarks.load_results import OK
from benchmarks.machine import cores, cpu_seconds
from benchmarks.processes import Server
from benchmarks.serve.loads import CLIENTS, phase, single
from benchmarks.services import encoder

_NAME = "serve-6"
_OFFERED = 5
# Of the replica that got less. A replica that only idles takes far less.
_FAIR_SHARE = ">= 0.3"
_FEW = 2
_UNTIL_STOPPED = 600.0
_CLIENT_STARTS = 2.0
# A channel tries an address that was gone again after three seconds at most.
_RECONNECTS = 4.0


def replicas_case(model: str) -> Case:
    """Return the figures of two replicas behind one target."""
    goals = {
        f"{_NAME}-{model}-share": _FAIR_SHARE,
        f"{_NAME}-{model}-errors": "<= 0",
        f"{_NAME}-{model}-share-after-return": _FAIR_SHARE,
    }
    return Case(goals, partial(_measure_replicas, model))


def neighbours_case(model: str, other: str) -> Case:
    """Return the figure of `model`'s p95 while `other`, on another core, is overloaded."""
    return Case({f"{_NAME}-{model}-neighbour-p95": "<= 1.2"}, partial(_neighbours, model, other))


def _measure_replicas(model: str, bench: Bench) -> Mapping[str, Measurement]:
    shares, errors, returned, back = [], [], [], []
    for _ in range(max(1, bench.effort.repetitions // 2)):
        share, failed, share_after, seconds = _kill_one(model, bench)
        shares.append(share)
        errors.append(float(failed))
        returned.append(share_after)
        back.append(seconds)
    words = (
        f"two processes behind ipv4:a,b, round robin, {CLIENTS} clients on the same cores, the"
        " retries of every channel"
    )
    name = f"{_NAME}-{model}"
    return {
        f"{name}-share": Measurement(
            shares, f"share of the processes' CPU time of the one that got less; {words}"
        ),
        f"{name}-errors": Measurement(
            errors,
            f"failed calls while one process is killed (SIGKILL) under load and comes back"
            f" {typical(back, 's')} later; {words}",
        ),
        f"{name}-share-after-return": Measurement(
            returned, f"share of the CPU time of the one that was killed, once SERVING; {words}"
        ),
    }


def _kill_one(model: str, bench: Bench) -> tuple[float, int, float, float]:
    """Return the smaller share, failed calls, the share after the return, and seconds away."""
    stretch = bench.effort.seconds
    with encoder(model) as stays, encoder(model) as dies:
        target = f"ipv4:{stays.target},{dies.target}"
        load = single(bench, target, model, Phase(_UNTIL_STOPPED, CLIENTS))
        with client(load) as asking:
            time.sleep(bench.effort.warm_seconds + _CLIENT_STARTS)
            first = _share(dies, stays, stretch)
            dies.kill()
            killed = time.monotonic()
            time.sleep(stretch)
            with encoder(model, port=dies.port) as again:
                seconds = time.monotonic() - killed
                time.sleep(_RECONNECTS)
                after = _share(again, stays, stretch)
                asking.stop()
                codes = asking.result().codes()
    return min(first, 1 - first), sum(codes.values()) - codes[OK], after, seconds


def _neighbours(model: str, other: str, bench: Bench) -> Mapping[str, Measurement]:
    if len(cores()) < 2:
        raise CannotMeasureError("two models with a core each need two cores")
    ours, its = cores()[:1], cores()[1:2]
    with (
        encoder(model, ours) as server,
        encoder(other, its, max_queued_photos=2 * CLIENTS) as neighbour,
    ):
        capacity = traffic_of(single(bench, neighbour.target, other, phase(bench)), its).rate()
        flood = Phase(_UNTIL_STOPPED, rate=_OFFERED * capacity)
        few = single(bench, server.target, model, phase(bench, _FEW))

        def alone() -> float:
            return traffic_of(few, ours).p95()

        def beside() -> float:
            with client(single(bench, neighbour.target, other, flood), its) as flooding:
                time.sleep(bench.effort.warm_seconds + _CLIENT_STARTS)
                late = traffic_of(few, ours).p95()
                flooding.stop()
                refused.append(flooding.result().codes()["RESOURCE_EXHAUSTED"])
            return late

        refused: list[int] = []
        quiet, loud = in_turn(bench.effort.repetitions, alone, beside)
    words = (
        f"{_FEW} clients of {model}, alone: {typical([1000 * each for each in quiet], 'ms')}, while"
        f" {other} is offered {_OFFERED} × its {capacity:.0f} photos/s and refuses"
        f" {typical(refused, 'calls')}: {typical([1000 * each for each in loud], 'ms')}; each"
        " process pinned to a core of its own, its clients to the same core"
    )
    return {f"{_NAME}-{model}-neighbour-p95": Measurement(ratios(loud, quiet), words)}


def _share(one: Server, other: Server, seconds: float) -> float:
    """Return the share of one process in the CPU time of two, over the next seconds."""
    pids = (one.process.pid, other.process.pid)
    before = [cpu_seconds(pid) for pid in pids]
    time.sleep(seconds)
    first, second = (cpu_seconds(pid) - used for pid, used in zip(pids, before, strict=True))
    if not first + second:
        raise CannotMeasureError("neither replica did anything")
    return first / (first + second)
