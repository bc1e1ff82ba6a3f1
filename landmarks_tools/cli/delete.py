"""`landmarks delete`: remove points of a gallery."""

from __future__ import annotations

from typing import Annotated

import typer

from landmarks.client import DEFAULT_TARGET
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ModelsOption,
    ServerOption,
    comma_separated,
    print_json,
    print_table,
)
from landmarks_tools.cli.search import parse_where


def delete(
    gallery: GalleryOption = DEFAULT_GALLERY,
    models: ModelsOption = "",
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="A point's ID. Repeatable.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE", help="As in `landmarks search`. Repeatable."),
    ] = None,
    source: Annotated[str, typer.Option(metavar="NAME", help="All points of this source.")] = "",
    path: Annotated[
        str,
        typer.Option(metavar="PREFIX", help="With --source: only paths that start with PREFIX."),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Delete points of a gallery; the photos themselves stay where they are."""
    if sum(map(bool, (ids, where, source))) != 1:
        raise typer.BadParameter("give one of --id, --where and --source")
    if path and not source:
        raise typer.BadParameter("--path needs --source")
    if not yes:
        typer.confirm(f"Delete these points of gallery {gallery!r}?", abort=True)
    with connect(server) as client:
        deleted = client.delete(
            gallery,
            models=comma_separated(models),
            ids=ids or [],
            filter=parse_where(where) if where else None,
            source=source,
            path_prefix=path,
        )
    if as_json:
        print_json(list(deleted))
        return
    rows = [(one.collection, str(one.points)) for one in deleted]
    print_table(("collection", ">deleted"), rows)
