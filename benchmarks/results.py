"""Figures as rows: `bench.json`."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from landmarks.files import replace_file

_DIGITS = 4
_GOALS = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class BenchRow:
    """One figure. `value` is None where it could not be measured; `conditions` then say why.

    `goal` is `>=` or `<=` and a number, or empty where there is none; `spread` is the least and the
    greatest of the repetitions.
    """

    id: str
    value: float | None
    goal: str
    spread: str
    conditions: str

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or nothing was measured."""
        if self.value is None or not self.goal:
            return None
        sign, _, number = self.goal.partition(" ")
        return bool(_GOALS[sign](self.value, float(number)))


def row_of(name: str, goal: str, values: Sequence[float], conditions: str) -> BenchRow:
    """Return the row of a figure: the median of its repetitions. Raises ValueError for none."""
    if not values:
        raise ValueError(f"{name} has no repetition")
    spread = f"{min(values):.3f} to {max(values):.3f} of {len(values)}"
    return BenchRow(name, round(median(values), _DIGITS), goal, spread, conditions)


def row_without_value(name: str, goal: str, reason: str) -> BenchRow:
    """Return the row of a figure that could not be measured."""
    return BenchRow(name, None, goal, "", f"not measured: {reason}")


def read_rows(path: Path) -> list[BenchRow]:
    """Return the rows of a file, none if it is not there."""
    if not path.exists():
        return []
    return [BenchRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def write_rows(path: Path, rows: Iterable[BenchRow]) -> None:
    """Write a file of rows, all of it or nothing."""
    text = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n"
    replace_file(path, lambda new: new.write_text(text, encoding="utf-8"))


def merged(before: Iterable[BenchRow], now: Sequence[BenchRow]) -> list[BenchRow]:
    """Return the rows of `now`, and of `before` those that were not measured again; by id."""
    rows = {row.id: row for row in (*before, *now)}
    return [rows[name] for name in sorted(rows)]
