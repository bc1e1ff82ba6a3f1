"""`landmarks map`: a gallery's vectors in two dimensions."""

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
    model: Annotated[str, typer.Argument(help="The model whose vectors are drawn.")],
    gallery: GalleryOption = DEFAULT_GALLERY,
    again: Annotated[
        bool, typer.Option("--again", help="Draw it again even if there is one.")
    ] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Draw a t-SNE map of a gallery's vectors by one model, or describe the existing map.

    The web page shows the map; --json prints the position of each point.
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
