"""What all figures share: what is asked for, repetitions in turn, and rows for what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.results import BenchRow, row_of, row_without_value

Measured = TypeVar("Measured")

DEFAULT_MODELS = ("vgg16", "efficientnet_lite0")


class CannotMeasureError(Exception):
    """A figure cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Effort:
    """How long everything takes: repetitions, and the seconds of one measurement and its warm-up.

    `tune_seconds` are those of one candidate of a sweep; `quick` narrows the sweeps too, to see
    that everything works: its figures mean nothing.
    """

    repetitions: int = 5
    seconds: float = 10.0
    warm_seconds: float = 2.0
    tune_seconds: float = 4.0
    overload_seconds: float = 30.0
    quick: bool = False


QUICK = Effort(2, 0.6, 0.2, 0.3, 2.0, quick=True)


@dataclass(frozen=True)
class Bench:
    """What is measured: with which photos, how thoroughly, and where peers are installed.

    `rows` are what is measured already, in this run and in those before.
    """

    photos: Sequence[Path]
    effort: Effort
    cache: Path
    only: str = ""
    rows: Sequence[BenchRow] = ()

    def wants(self, name: str) -> bool:
        """Return whether a figure is asked for."""
        return name.startswith(self.only)

    def value(self, name: str) -> float:
        """Return a figure that is measured already; raises CannotMeasureError where it is not."""
        for row in self.rows:
            if row.id == name and row.value is not None:
                return row.value
        raise CannotMeasureError(f"{name} has to be measured before: ONLY={name}")


@dataclass(frozen=True)
class Measurement:
    """The repetitions of a figure, and what has to be known of them."""

    values: Sequence[float]
    conditions: str


@dataclass(frozen=True)
class Case:
    """Figures that are measured together: a goal for each id, and how."""

    goals: Mapping[str, str]
    measure: Callable[[Bench], Mapping[str, Measurement]] = field(repr=False)


def run(cases: Sequence[Case], bench: Bench) -> list[BenchRow]:
    """Measure the cases that are asked for; what cannot be measured is a row that says why."""
    rows: list[BenchRow] = []
    for case in cases:
        goals = {name: goal for name, goal in case.goals.items() if bench.wants(name)}
        if not goals:
            continue
        say(f"measuring {', '.join(goals)}")
        try:
            figures = case.measure(bench)
            measured = {
                name: row_of(name, goal, figures[name].values, figures[name].conditions)
                for name, goal in goals.items()
            }
        except Exception as error:  # noqa: BLE001 - a figure that fails must not cost the others
            reason = str(error) or type(error).__name__
            if not isinstance(error, CannotMeasureError):
                reason = f"{type(error).__name__}: {reason}"
            reason = reason.replace(str(Path.home()), "~")  # rows are shown to others
            measured = {name: row_without_value(name, goal, reason) for name, goal in goals.items()}
        for row in measured.values():
            say(f"{row.id}: {row.value} ({row.goal}) {row.spread} {row.conditions}")
        rows.extend(measured.values())
    return rows


def in_turn(repetitions: int, *measures: Callable[[], Measured]) -> list[list[Measured]]:
    """Return what each measure gave in each repetition.

    They alternate, and each second repetition goes backwards: a machine that gets slower while it
    is measured then does so to all of them alike.
    """
    found: list[list[Measured]] = [[] for _ in measures]
    for repetition in range(repetitions):
        order = list(enumerate(measures))
        for place, measure in order if repetition % 2 == 0 else reversed(order):
            found[place].append(measure())
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each repetition. Raises CannotMeasureError for a division by nothing."""
    if not all(below):
        raise CannotMeasureError("nothing came through within the time of a measurement")
    return [one / other for one, other in zip(above, below, strict=True)]


def typical(values: Sequence[float], unit: str) -> str:
    """Return the range of some values in words."""
    return f"{min(values):.1f} to {max(values):.1f} {unit}"


def say(line: str) -> None:
    """Tell whoever waits."""
    sys.stderr.write(line + "\n")
