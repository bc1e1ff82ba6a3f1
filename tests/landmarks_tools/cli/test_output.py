"""Tables never lose what is to be copied from them, however narrow the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from landmarks_tools.cli import output

COLUMNS = ("id", "state", ">done", "source")
JOB = "52fa2c27-705b-473d-a6ae-f66a1feb4942"
ROWS = [
    (JOB, "succeeded", "288/288", "/photos/of/landmarks/manifest.csv"),
    ("short", "running", "0/7", "/a"),
]


def printed(monkeypatch: pytest.MonkeyPatch, width: int, *, terminal: bool) -> str:
    into = io.StringIO()
    console = Console(file=into, width=width, force_terminal=terminal, color_system=None)
    monkeypatch.setattr(output, "console", console)
    output.print_table(COLUMNS, ROWS)
    return into.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 79])
def test_on_a_terminal_that_is_too_narrow_lines_are_longer_than_it_and_whole(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    text = printed(monkeypatch, width, terminal=True)
    for cell in (*(name.removeprefix(">") for name in COLUMNS), *ROWS[0][:3], *ROWS[1]):
        assert cell in text
    assert "".join(text.split()).count("/photos/of/landmarks/manifest.csv") == 1


def test_on_a_terminal_that_is_nearly_wide_enough_the_last_column_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = printed(monkeypatch, 85, terminal=True)
    assert max(map(len, text.splitlines())) <= 85
    assert JOB in text
    assert len(text.splitlines()) == 1 + 2 + 1


def test_in_a_pipe_a_row_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, 40, terminal=False).splitlines()
    assert [line.split() for line in lines] == [
        [name.removeprefix(">") for name in COLUMNS],
        *(list(row) for row in ROWS),
    ]
