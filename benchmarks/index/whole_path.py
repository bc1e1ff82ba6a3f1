"""Figures 1 and 3: the whole path beside the encoder alone, and an index that has nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.harness import Bench, Case, Measurement, in_turn, ratios, typical
from benchmarks.index.stack import IndexStack, index_stack
from benchmarks.serve.loads import batches

_GOALS = {"vgg16": ">= 0.95"}
_OTHERS = ">= 0.90"
# So many seconds of an encoder's work are one measurement of it: long enough that a job's beginning
# and end, which do not grow with it, are the few parts in a thousand that they are of a real one.
_SECONDS = 30.0
_LEAST_PHOTOS = 64


def case(model: str) -> Case:
    """Return the figures `index-1` and `index-3` of a model."""
    goals = {f"index-1-{model}": _GOALS.get(model, _OTHERS), f"index-3-{model}": ">= 20"}
    return Case(goals, partial(_measure, model))


def _measure(model: str, bench: Bench) -> Mapping[str, Measurement]:
    count = _LEAST_PHOTOS
    if not bench.effort.quick:
        with index_stack(model, bench.photos, _LEAST_PHOTOS) as small:
            rate = batches(bench, small.encoder_target, model).rate()
        count = max(_LEAST_PHOTOS, round(rate * _SECONDS))
    with index_stack(model, bench.photos, count) as stack:
        galleries = iter(f"g{number}" for number in range(1000))
        first: list[float] = []
        again: list[float] = []

        def whole_path() -> float:
            gallery = next(galleries)
            job, seconds = stack.index(gallery)
            first.append(seconds)
            again.append(_again(stack, gallery))
            [progress] = job.progress
            return progress.encoded / seconds

        def alone() -> float:
            return batches(bench, stack.encoder_target, model).rate()

        path, encoder = in_turn(bench.effort.repetitions, whole_path, alone)
    where = "folder → Celery → encoder → embedded Qdrant, all parts on the same cores"
    return {
        f"index-1-{model}": Measurement(
            ratios(path, encoder),
            f"{count} photos, {where}, from asking to the end: {typical(path, 'photos/s')};"
            f" `BatchEncode` alone, four callers of eight photos: {typical(encoder, 'photos/s')}",
        ),
        f"index-3-{model}": Measurement(
            ratios(first, again),
            f"{count} photos: {typical(first, 's')} for the first time,"
            f" {typical([1000 * one for one in again], 'ms')} again",
        ),
    }


def _again(stack: IndexStack, gallery: str) -> float:
    job, seconds = stack.index(gallery)
    [progress] = job.progress
    if progress.unchanged != progress.listed:
        raise AssertionError("something was indexed again")
    return seconds
