"""Tables never lose what is to be copied from them, however narrow the terminal."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from rich.console import Console
from rich.text import Text

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks_tools.cli import output
from landmarks_tools.cli.collections import print_collections

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


HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b31mb\r\nc\td\u202egpj.exe\u2028\udcff\x00\x7f"


def controls(text: str) -> set[str]:
    return {one for one in text if one not in "\n\t" and unicodedata.category(one) in UNSAFE} | (
        set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    )


UNSAFE = ("Cc", "Cs", "Zl", "Zp")


def test_control_characters_of_names_are_escapes_in_tables_lines_and_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(("photo", "n"), [(HOSTILE, "1")])
    output.console.print(f"This is {HOSTILE}.")
    output.error_console().print(Text(HOSTILE, style="bold"))
    with output.progress() as show:
        show(HOSTILE, 1, 1, HOSTILE)
    printed = capsys.readouterr()
    assert not controls(printed.out + printed.err)
    table = printed.out.splitlines()[:2]
    assert table[1].startswith(r"a\x1b]0;title\x07\x1b[2J\x9b31mb\x0d\x0ac\x09d\u202egpj.exe\u2028")
    assert r"\x1b]0;title" in printed.out.splitlines()[2]
    assert r"\x1b]0;title" in printed.err


def test_on_a_terminal_only_rich_itself_sends_control_sequences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    into = io.StringIO()
    console = output.TextConsole()
    console.file = into
    monkeypatch.setattr(console, "_force_terminal", True)
    monkeypatch.setattr(console, "_color_system", None)
    monkeypatch.setattr(output, "console", console)
    with output.progress() as show:
        show("vgg16", 1, 2, "\x1b]0;title\x07")
        show("vgg16", 2, 2, "\x1b]0;title\x07")
    assert "\x1b[" in into.getvalue()  # of the bars
    assert "\x1b]" not in into.getvalue()
    assert "\x07" not in into.getvalue()


def test_json_stays_json_and_sends_a_terminal_nothing_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_json({"name": HOSTILE, "other": "Sacré-Cœur"})
    printed = capsys.readouterr().out
    assert not controls(printed)
    assert "Sacré-Cœur" in printed
    assert json.loads(printed) == {"name": HOSTILE, "other": "Sacré-Cœur"}


def test_what_is_wrong_with_a_collection_follows_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unsafe = "its 2 copies differ once a node has been away"
    problem = "it cannot be loaded; restore a backup, or delete it and index its sources again"
    print_collections(
        [
            pb.Collection(name="a__m__00000000", gallery="a", model="m", status="green"),
            pb.Collection(name="b__m__00000000", gallery="b", status="red", problem=problem),
            pb.Collection(name="c__m__00000000", status="green", unsafe_layout=unsafe),
        ],
        as_json=False,
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == f"b__m__00000000: {problem}"
    assert lines[-1] == f"c__m__00000000: {unsafe}"
    assert "red" in lines[-4]
