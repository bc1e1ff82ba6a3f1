"""Measure, and write `bench.json` and the table: `python -m benchmarks`."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import structlog
import typer

from benchmarks.harness import DEFAULT_MODELS, QUICK, Bench, Case, Effort, run, say
from benchmarks.index.cases import index_cases
from benchmarks.machine import machine, versions
from benchmarks.photos import drawn_photos, photos_of
from benchmarks.results import merged, read_rows, write_rows
from benchmarks.scale.cases import PREFIX as SCALE
from benchmarks.scale.cases import scale_cases
from benchmarks.search.cases import search_cases
from benchmarks.serve.cases import serve_cases
from benchmarks.store.cases import store_cases
from benchmarks.table import write_table
from landmarks.errors import LandmarksError
from landmarks.settings import Settings


def bench(
    only: Annotated[
        str, typer.Option(metavar="PREFIX", help="measure the figures whose ids start with PREFIX")
    ] = "",
    photos: Annotated[
        Path | None, typer.Option(help="a folder of photos; by default drawn views")
    ] = None,
    models: Annotated[str, typer.Option(help="comma-separated")] = ",".join(DEFAULT_MODELS),
    out: Annotated[
        Path, typer.Option(help="the file of results; it keeps the rows of other figures")
    ] = Path("bench.json"),
    table: Annotated[Path | None, typer.Option(help="the Markdown file of the table")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="a short trial; its figures mean nothing")
    ] = False,
) -> None:
    """Measure the figures, and print the file they are in."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that started processes are ended
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    effort = QUICK if quick else Effort()
    large = only.startswith(SCALE)  # which takes hours, and no photos
    cases = list(scale_cases()) if large else _cases([one.strip() for one in models.split(",")])
    cache = Settings.load().cache_dir / "benchmarks"
    asked = Bench([], effort, cache, only)
    if not any(asked.wants(name) for case in cases for name in case.goals):
        raise typer.BadParameter(f"no figure's id begins with {only!r}", param_hint="--only")
    chosen = [] if large else photos_of(photos) if photos else drawn_photos(quick=quick)
    asked = replace(asked, photos=[photo.absolute() for photo in chosen])
    say(f"{machine()}; {versions()}; {len(chosen)} photos")
    rows = read_rows(out)
    for case in cases:  # saved one by one, as the run may be interrupted
        rows = merged(rows, run([case], replace(asked, rows=rows)))
        write_rows(out, rows)
    if table is not None:
        source = "given with PHOTOS" if photos else "of the sample gallery, 640 × 640"
        lines = [f"Machine: {machine()}", f"Versions: {versions()}"]
        lines += [f"Command: `{_command(only, photos)}`"]
        lines += [] if large else [f"Photos: {len(chosen)}, {source}"]
        write_table(table, rows, lines)
    typer.echo(out)


def _cases(models: Sequence[str]) -> list[Case]:
    return [
        *serve_cases(models),
        *index_cases(models),
        *search_cases(models),
        *store_cases(),
    ]


def _command(only: str, photos: Path | None) -> str:
    target = "make bench-scale" if only.startswith(SCALE) else "make bench"
    part = f" ONLY={only}" if only not in ("", SCALE) else ""
    return f"{target}{part}{' PHOTOS=…' if photos else ''}"


if __name__ == "__main__":
    try:
        typer.run(bench)
    except LandmarksError as error:
        sys.exit(f"bench: {error}")
