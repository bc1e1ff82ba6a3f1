"""Runs the benchmarks: selection, alternating repetitions, and rows for failures."""

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
    """Time to spend: repetitions, and the seconds of one measurement and its warm-up.

    `tune_seconds` are spent on each candidate of a sweep. `quick` also narrows the sweeps, as a
    trial whose figures mean nothing.
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
    """The photos, effort and selection of a run, and where peers are installed.

    `rows` are the figures measured already, in this run and in earlier ones.
    """

    photos: Sequence[Path]
    effort: Effort
    cache: Path
    only: str = ""
    rows: Sequence[BenchRow] = ()

    def wants(self, name: str) -> bool:
        """Return whether a figure is requested."""
        return name.startswith(self.only)

    def value(self, name: str) -> float:
        """Return a figure measured earlier; raises CannotMeasureError if there is none."""
        for row in self.rows:
            if row.id == name and row.value is not None:
                return row.value
        raise CannotMeasureError(f"measure {name} first: ONLY={name}")


@dataclass(frozen=True)
class Measurement:
    """The repetitions of a figure and their conditions."""

    values: Sequence[float]
    conditions: str


@dataclass(frozen=True)
class Case:
    """Figures that are measured together: a goal for each id, and the function to measure them."""

    goals: Mapping[str, str]
    measure: Callable[[Bench], Mapping[str, Measurement]] = field(repr=False)


def run(cases: Sequence[Case], bench: Bench) -> list[BenchRow]:
    """Measure the requested cases; a figure that cannot be measured is a row with the reason."""
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
        except Exception as error:  # noqa: BLE001 - one failure must not cost the other figures
            reason = str(error) or type(error).__name__
            if not isinstance(error, CannotMeasureError):
                reason = f"{type(error).__name__}: {reason}"
            reason = reason.replace(str(Path.home()), "~")  # rows are published
            measured = {name: row_without_value(name, goal, reason) for name, goal in goals.items()}
        for row in measured.values():
            say(f"{row.id}: {row.value} ({row.goal}) {row.spread} {row.conditions}")
        rows.extend(measured.values())
    return rows


def in_turn(repetitions: int, *measures: Callable[[], Measured]) -> list[list[Measured]]:
    """Return the results of each measure in each repetition.

    Measures alternate, and every second repetition reverses their order, so that a machine that
    slows down affects all alike.
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
        raise CannotMeasureError("no call succeeded within the time of a measurement")
    return [one / other for one, other in zip(above, below, strict=True)]


def typical(values: Sequence[float], unit: str) -> str:
    """Return the range of some values in words."""
    return f"{min(values):.1f} to {max(values):.1f} {unit}"


def say(line: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(line + "\n")
