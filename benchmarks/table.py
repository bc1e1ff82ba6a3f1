"""The table of figures in `docs/benchmarks.md`, between two marks; what is around them stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import BenchRow

_BEGIN = "<!-- what `make bench` measured: it replaces what is between these marks -->"
_END = "<!-- end of what was measured -->"
_TITLE = "# Benchmarks\n\n"
_HEAD = "| figure | value | goal | met | spread | conditions |"
_RULE = "|---|--:|--:|---|---|---|"
_MET = {True: "yes", False: "**no**", None: "–"}


def write_table(path: Path, rows: Sequence[BenchRow], run: Sequence[str]) -> None:
    """Write the table of `rows` into a Markdown file. `run` are lines on the latest run.

    Lines that the table has of other figures stay: it outlives the file of rows.
    """
    before, table, after = _TITLE, "", ""
    if path.exists():
        text = path.read_text(encoding="utf-8")
        before, mark, rest = text.partition(_BEGIN)
        if not mark:
            before = text.rstrip() + "\n\n"
        table, _, after = rest.partition(_END)
    lines = [_HEAD, _RULE, *_sorted_lines(table, rows)]
    body = "\n".join([_BEGIN, "", *(f"- {line}" for line in run), "", *lines, "", _END])
    path.write_text(before + body + (after or "\n"), encoding="utf-8")


def _sorted_lines(table: str, rows: Sequence[BenchRow]) -> list[str]:
    lines = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    lines |= {row.id: _line(row) for row in rows}
    return [lines[name] for name in sorted(lines)]


def _line(row: BenchRow) -> str:
    cells = (
        f"`{row.id}`",
        "–" if row.value is None else f"{row.value:.3f}",
        row.goal or "–",
        _MET[row.met],
        row.spread or "–",
        row.conditions,
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
