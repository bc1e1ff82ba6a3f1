"""The loads that the figures of the encoder service have in common."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness import Bench
from benchmarks.load_generator import Load, Phase, traffic_of
from benchmarks.load_results import Traffic

CLIENTS = 32
# As many photos in flight as single clients have.
_CALLS, _PHOTOS = 4, CLIENTS // 4


def phase(bench: Bench, clients: int = CLIENTS) -> Phase:
    """Return a phase as long as the run allows."""
    return Phase(bench.effort.seconds, clients, warm=bench.effort.warm_seconds)


def single(bench: Bench, target: str, model: str, *phases: Phase) -> Load:
    """Return clients that send one photo a call; 32 of them unless phases say otherwise."""
    return Load(target, model, _names(bench), phases or [phase(bench)])


def singles(bench: Bench, target: str, model: str) -> Traffic:
    """Return what came of 32 concurrent clients that send one photo a call."""
    return traffic_of(single(bench, target, model))


def batches(bench: Bench, target: str, model: str) -> Traffic:
    """Return what came of `BatchEncode`, with several calls at once, as the indexer makes them."""
    phases = [phase(bench, _CALLS)]
    return traffic_of(Load(target, model, _names(bench), phases, batch=_PHOTOS))


def batch_alone(bench: Bench, target: str, model: str, photos: int) -> Load:
    """Return one client that sends so many photos a call, and nobody else."""
    return Load(target, model, _names(bench), [phase(bench, clients=1)], batch=photos)


def _names(bench: Bench) -> Sequence[str]:
    return [str(photo) for photo in bench.photos]
