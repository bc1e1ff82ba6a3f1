"""The table of figures in `docs/benchmarks.md`, between two marks; what is around them stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.benchmarks.rows import Row

_BEGIN = "<!-- what `make bench` measured: it replaces what is between these marks -->"
_END = "<!-- end of what was measured -->"
_TITLE = "# Benchmarks\n\n"
_MET = {True: "yes", False: "**no**", None: "–"}


def write_table(path: Path, rows: Sequence[Row], run: Sequence[str]) -> None:
    """Write the table of `rows` into a Markdown file. `run` are lines on the latest run."""
    before, after = _TITLE, ""
    if path.exists():
        text = path.read_text(encoding="utf-8")
        before, mark, rest = text.partition(_BEGIN)
        if not mark:
            before = text.rstrip() + "\n\n"
        after = rest.partition(_END)[2]
    body = "\n".join([_BEGIN, "", *(f"- {line}" for line in run), "", *_table(rows), "", _END])
    path.write_text(before + body + (after or "\n"), encoding="utf-8")


def _table(rows: Sequence[Row]) -> list[str]:
    lines = ["| figure | value | goal | met | spread | conditions |", "|---|--:|--:|---|---|---|"]
    for row in rows:
        value = "–" if row.value is None else f"{row.value:.3f}"
        cells = (
            f"`{row.id}`",
            value,
            row.goal or "–",
            _MET[row.met],
            row.spread or "–",
            row.conditions,
        )
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return lines


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
