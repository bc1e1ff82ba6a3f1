"""The command's output: tables and progress bars for people, JSON for programs."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Protocol

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from landmarks import errors
from landmarks.visible_text import visible, visible_json, visible_lines
from landmarks_tools.cli.standard_streams import end_unread


class TextConsole(Console):
    """Prints texts as they are, except that their control characters become escapes."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        # A pipe has no width; without one, rich would fold lines at 80 columns.
        # Markup is off, as names and paths of photos may contain [brackets].
        super().__init__(
            stderr=stderr, width=None if stream.isatty() else 120, highlight=False, markup=False
        )

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render anything; all that is printed passes here."""
        for segment in super().render(renderable, options):
            if segment.control:  # of rich itself, such as to draw a bar again
                yield segment
            else:
                yield Segment(visible_lines(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """End the command quietly when nobody reads on."""
        end_unread()


console = TextConsole()


def error_console() -> Console:
    """Return a console that prints to standard error."""
    return TextConsole(stderr=True)


ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="LANDMARKS_SERVER",
        help="Address of the search service.",
        metavar="HOST:PORT",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
GalleryOption = Annotated[str, typer.Option("--gallery", "-g", help="Name of the gallery.")]
ModelsOption = Annotated[
    str,
    typer.Option("--models", "-m", help="Models, comma-separated; by default all that are served."),
]
DEFAULT_GALLERY = "landmarks"
_GAP = 2  # between the columns of a table
_FOLDED = 20  # narrower than this, a last column is hard to read


class ExitCode(IntEnum):
    """The command's exit statuses."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    DEAD_LETTERS = 5
    COPIES_DIFFER = 6


def exit_code_of(error: errors.LandmarksError) -> ExitCode:
    """Return the exit status for `error`."""
    match error:
        case errors.InvalidInputError():
            return ExitCode.USAGE
        case errors.NotFoundError():
            return ExitCode.NOT_FOUND
        case errors.UnavailableError() | errors.OverloadedError() | errors.DeadlineError():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED


def comma_separated(text: str) -> list[str]:
    """Return the names in `a,b`, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def print_json(value: Message | Sequence[Message] | object) -> None:
    """Print messages or plain values as JSON, with the field names of the protos."""
    encoding = codecs.lookup(sys.stdout.encoding or "utf-8").name
    text = visible_json(_plain(value), ascii_only=not encoding.startswith("utf"))
    try:
        typer.echo(text)
    except BrokenPipeError:
        end_unread()


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return MessageToDict(
            value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; columns whose names start with > are right-aligned.

    A cell is one line: control characters in it are escapes, line breaks included. Nothing is
    truncated, so that ids and names can be copied. On a terminal the last column folds
    if that suffices; otherwise, and in a pipe, lines are as long as needed.
    """
    names = [column.removeprefix(">") for column in columns]
    cells = [names, *([visible(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    whole = sum(widths) + _GAP * (len(widths) - 1)
    folded = whole - widths[-1] + min(widths[-1], _FOLDED)
    drawn = Table(box=None, pad_edge=False)
    if not console.is_terminal or folded > console.width:
        drawn.width = whole
    for column, name in zip(columns, names, strict=True):
        drawn.add_column(
            name,
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=column != columns[-1],
        )
    for row in cells[1:]:
        drawn.add_row(*map(Text, row))
    console.print(drawn, crop=False)


class Show(Protocol):
    """Shows the progress of `label`: `done` of `total` (None: not known yet)."""

    def __call__(self, label: str, done: int, total: int | None, note: str = "") -> None:
        """Show the progress."""


@contextmanager
def progress(*, aside: bool = False) -> Iterator[Show]:
    """Yield a function that shows progress, with a line for each label.

    Draws bars on a terminal and prints a plain line for each tenth elsewhere. `aside` keeps
    standard output free for results: bars on standard error if that is a terminal, else nothing.
    """
    shown = error_console() if aside else console
    if not shown.is_terminal:
        silent: Show = _ignore
        yield silent if aside else _in_tenths()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=shown) as bars:
        tasks: dict[str, TaskID] = {}

        def show(label: str, done: int, total: int | None, note: str = "") -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=None, note="")
            bars.update(tasks[label], completed=done, total=total, note=note)

        yield show


def _in_tenths() -> Show:
    tenths: dict[str, int] = {}

    def show(label: str, done: int, total: int | None, note: str = "") -> None:
        tenth = 10 * done // total if total else -1
        if tenth > tenths.get(label, -1):
            tenths[label] = tenth
            console.print(f"  {label}: {done} of {total} {note}".rstrip())

    return show


def _ignore(label: str, done: int, total: int | None, note: str = "") -> None:
    del label, done, total, note
