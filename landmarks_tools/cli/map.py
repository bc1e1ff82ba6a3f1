"""`landmarks map`: a gallery's vectors drawn in two dimensions."""

from __future__ import annotations

from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET
from landmarks.errors import NotFoundError
from landmarks_tools.cli.calibrate import print_outcome
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.index import follow
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ServerOption,
    console,
    print_json,
)


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
                print_outcome(job, as_json=as_json)
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
