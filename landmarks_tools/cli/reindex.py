"""`landmarks reindex`: embed a gallery again with a newer encoder."""

from __future__ import annotations

from typing import Annotated

import typer

from landmarks.client import DEFAULT_TARGET
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.index import absolute, finish, follow, print_totals
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ServerOption,
    console,
    print_json,
)


def reindex(
    model: Annotated[str, typer.Argument(help="The model whose encoder is replaced.")],
    gallery: GalleryOption = DEFAULT_GALLERY,
    queries: Annotated[
        str,
        typer.Option(
            metavar="MANIFEST",
            help="Labelled photos to search for in both collections; the new one is promoted only"
            " if it finds them as well as the old one.",
        ),
    ] = "",
    split: Annotated[
        list[str] | None,
        typer.Option("--split", "-s", help="Only queries of this split. Repeatable."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(min=0, max=1, help="How much lower the mAP@100 of the new collection may be."),
    ] = 0.0,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the job to end.")] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Encode a gallery again with a newer encoder that runs beside the present one.

    Searches continue meanwhile. Once complete, the new collection replaces the old one;
    `landmarks collections --rollback` restores the old one.
    """
    with connect(server) as client:
        job = client.reindex(
            gallery,
            model,
            queries=absolute(queries) if queries else "",
            splits=split or [],
            margin=margin,
        )
        if not as_json:
            console.print(f"job {job.id}")
        if wait:
            job = follow(client, job.id, quiet=as_json)
    if as_json:
        print_json(job)
    elif wait:
        print_totals(job)
    if wait:
        finish(job)
