"""`landmarks calibrate` and `landmarks map`: jobs that look at a gallery."""

from __future__ import annotations

from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET
from landmarks.errors import NotFoundError
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
            help="A folder or manifest of photos of landmarks that the gallery does not have."
            " Without it, the gallery's own stand in for them.",
        ),
    ] = "",
    split: Annotated[
        list[str] | None,
        typer.Option("--split", "-s", help="With a manifest: only this split. Repeatable."),
    ] = None,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Learn from a gallery's labelled photos how far it can be trusted what a photo shows.

    From then on, searches say how sure they are, or that it is none of these landmarks. Do it again
    when the gallery has changed much. Where an encoder was trained on this gallery's landmarks,
    give --unknowns: to it, others look more alike than these ever do.
    """
    with connect(server) as client:
        job = client.calibrate(
            gallery,
            models=comma_separated(models),
            unknowns=absolute(unknowns) if unknowns else "",
            splits=split or [],
        )
        job = follow(client, job.id, quiet=True)
    _tell(job, as_json=as_json)


def map_(
    model: Annotated[str, typer.Argument(help="The model whose collection is drawn.")],
    gallery: GalleryOption = DEFAULT_GALLERY,
    again: Annotated[
        bool, typer.Option("--again", help="Draw it anew, even if there is one.")
    ] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Draw the map of a gallery as a model sees it, by t-SNE, or print the one that there is.

    The web page shows it; --json gives the places of all its points.
    """
    with connect(server) as client:
        try:
            drawn = None if again else client.map(gallery, model)
        except NotFoundError:
            drawn = None
        if drawn is None:
            job = follow(client, client.draw_map(gallery, model).id, quiet=True)
            if job.state != pb.JOB_STATE_SUCCEEDED:
                _tell(job, as_json=as_json)
            drawn = client.map(gallery, model)
    if as_json:
        print_json(drawn)
        return
    alone = sum(point.in_no_cluster for point in drawn.points)
    console.print(
        f"{drawn.collection}: {len(drawn.points)} of {drawn.collection_points} points,"
        f" {alone} in no cluster; trustworthiness {drawn.trustworthiness:.3f}, perplexity"
        f" {drawn.perplexity:g}; drawn {drawn.draw_time.ToDatetime():%Y-%m-%d %H:%M} UTC"
    )


def _tell(job: pb.IndexJob, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
    elif job.outcome:
        console.print(job.outcome, soft_wrap=True)
    finish(job)
