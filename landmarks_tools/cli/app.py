"""The `landmarks` command: its sub-commands, one a file, and how it reports errors."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import structlog
import typer
from rich.text import Text

from landmarks.errors import LandmarksError
from landmarks.observability.logging import visible_values
from landmarks.observability.telemetry import spans_sent
from landmarks.settings import Settings
from landmarks_tools.cli import (
    backup,
    calibrate,
    collections,
    delete,
    demo,
    evaluate,
    index,
    jobs,
    keys,
    models,
    reindex,
    report,
    search,
    train,
    up,
    verdicts,
    weights,
)
from landmarks_tools.cli import export as transfer
from landmarks_tools.cli import map as gallery_map
from landmarks_tools.cli.extras import DISTRIBUTION, requires_extra
from landmarks_tools.cli.output import ExitCode, error_console, exit_code_of
from landmarks_tools.cli.standard_streams import forgiving_streams

app = typer.Typer(
    name="landmarks",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Landmark reverse image search: which photos of a gallery show the landmark in this one?

Start the services on this machine with **landmarks up**, index a folder of photos with
**landmarks index**, and search with a photo with **landmarks search**.""",
    epilog="""Exit status: 0 success; 1 failure; 2 invalid input; 3 not found; 4 a service
is unreachable or busy; 5 success, but some photos could not be indexed; 130 stopped by Ctrl-C
(for `up`, that is 0).""",
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"landmarks {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of the command itself."""


app.command()(up.up)
app.command()(index.index)
app.command()(search.search)
app.command()(jobs.jobs)
app.command()(models.models)
app.command()(collections.collections)
app.command()(delete.delete)
app.command()(reindex.reindex)
app.command()(transfer.export)
app.command("import")(transfer.import_)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(calibrate.calibrate)
app.command("map")(gallery_map.map_)
app.command()(weights.weights)
app.command()(report.report)
app.command()(evaluate.evaluate)
app.command()(verdicts.verdicts)
app.command()(demo.demo)
app.add_typer(train.train, name="train")
app.add_typer(keys.keys, name="keys")


def main() -> None:
    """Run the command; print errors of the system to standard error, without a traceback."""
    # The command prints what users need itself; of the log, only warnings are shown.
    structlog.configure(
        processors=[
            visible_values,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        with requires_extra("service", "LANDMARKS_OTLP_ENDPOINT"):
            tracing = spans_sent(Settings.load(), "landmarks")
        with tracing, forgiving_streams():
            app()
    except LandmarksError as error:
        _say(str(error))
        sys.exit(exit_code_of(error))
    except UnicodeEncodeError as error:
        # Of an argument: its bytes are half characters in Python, which no message can hold.
        _say(
            f"{error.object!r} has bytes that are not UTF-8 (or that this locale does not know);"
            " rename the file, or use a UTF-8 locale"
        )
        sys.exit(ExitCode.USAGE)
    except OSError as error:
        _say(f"{error.filename or 'a file or the output'}: {error.strerror or error}")
        sys.exit(ExitCode.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(message: str) -> None:
    words = Text.assemble(("error: ", "bold red"), message)
    error_console().print(words, soft_wrap=True)
