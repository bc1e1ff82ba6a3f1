"""`landmarks calibrate`: fit a gallery's verdicts to its labelled photos."""

from __future__ import annotations

from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.index import absolute, finish, follow
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ModelsOption,
    ServerOption,
    comma_separated,
    console,
    print_json,
)


def calibrate(
    gallery: GalleryOption = DEFAULT_GALLERY,
    models: ModelsOption = "",
    unknowns: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="A folder or manifest of photos of landmarks that are not in the gallery. By"
            " default, photos of the gallery stand in for them.",
        ),
    ] = "",
    split: Annotated[
        list[str] | None,
        typer.Option("--split", "-s", help="With a manifest: only this split. Repeatable."),
    ] = None,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Calibrate verdicts: learn from a gallery's labelled photos how reliable they are.

    Searches then report how sure they are, or that the photo shows none of these landmarks.
    Calibrate again after the gallery has changed much. If an encoder was trained on this gallery's
    landmarks, give --unknowns: it tells these apart better than landmarks it has not seen.
    """
    with connect(server) as client:
        job = client.calibrate(
            gallery,
            models=comma_separated(models),
            unknowns=absolute(unknowns) if unknowns else "",
            splits=split or [],
        )
        job = follow(client, job.id, quiet=True)
    print_outcome(job, as_json=as_json)


def print_outcome(job: pb.IndexJob, *, as_json: bool) -> None:
    """Print how a job without photos ended, and end the command with its status."""
    if as_json:
        print_json(job)
    elif job.outcome:
        console.print(job.outcome, soft_wrap=True)
    finish(job)
