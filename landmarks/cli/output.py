"""How the command speaks: people get tables and bars, programs get JSON, errors go to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from landmarks import errors

# A pipe has no width of its own; without one, rich would fold tables at 80 columns.
# Nothing is markup: names and paths of photos may hold [brackets].
console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="LANDMARKS_SERVER",
        help="Address of the search service.",
        metavar="HOST:PORT",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
GalleryOption = Annotated[str, typer.Option("--gallery", "-g", help="Name of the gallery.")]
ModelsOption = Annotated[
    str, typer.Option("--models", "-m", help="Models, comma-separated; all if left out.")
]
DEFAULT_GALLERY = "landmarks"


class ExitCode(IntEnum):
    """What the command's exit status means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    DEAD_LETTERS = 5


def exit_code_of(error: errors.LandmarksError) -> ExitCode:
    """Return the exit status that tells of `error`."""
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
    """Print a message, several, or plain values as JSON with the contract's field names."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return MessageToDict(
            value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table for the terminal; columns that begin with > are aligned right."""
    drawn = Table(box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=column != columns[-1],  # the last is the one that may be long
        )
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn


class ProgressLine:
    """One line of progress: a bar on a terminal, a plain line at each tenth elsewhere."""

    def __init__(self, label: str, bar: Progress | None) -> None:
        self._label = label
        self._bar = bar
        self._task = bar.add_task(label, total=None, note="") if bar else None
        self._tenth = -1

    def update(self, done: int, total: int | None, note: str = "") -> None:
        """Show that `done` of `total` are done (None: the total is not known yet)."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
            return
        tenth = 10 * done // total if total else -1
        if tenth > self._tenth:
            self._tenth = tenth
            console.print(f"  {self._label}: {done} of {total} {note}".rstrip())


@contextmanager
def progress() -> Iterator[Callable[[str], ProgressLine]]:
    """Give, inside this block, a function that adds a progress line with a label."""
    if not console.is_terminal:
        yield lambda label: ProgressLine(label, None)
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
    with Progress(*columns, console=console) as bar:
        yield lambda label: ProgressLine(label, bar)
