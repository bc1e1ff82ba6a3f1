"""`landmarks delete`: remove points of a gallery, or the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET
from landmarks.client.calls import DeletionOptions
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ModelsOption,
    ServerOption,
    comma_separated,
    error_console,
    print_json,
    print_table,
)
from landmarks_tools.cli.where import (
    AfterOption,
    AnyOption,
    BeforeOption,
    InsideOption,
    NearOption,
    UnlabelledOption,
    filter_of,
)


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
    after: AfterOption = "",
    before: BeforeOption = "",
    near: NearOption = "",
    inside: InsideOption = "",
    unlabelled: UnlabelledOption = False,
    any_of: AnyOption = False,
    source: Annotated[str, typer.Option(metavar="NAME", help="All points of this source.")] = "",
    path: Annotated[
        str,
        typer.Option(metavar="PREFIX", help="With --source: only paths that start with PREFIX."),
    ] = "",
    whole: Annotated[
        bool,
        typer.Option(
            "--all", help="The whole gallery: its collections of all models, live or not."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Delete points of a gallery, or all of it; the photos themselves stay where they are.

    Counts them first and asks, unless --yes is given.
    """
    chosen = filter_of(
        where or [],
        after=after,
        before=before,
        near=near,
        inside=inside,
        unlabelled=unlabelled,
        any_of=any_of,
    )
    filtered = bool(chosen.must or chosen.must_not or chosen.should)
    if sum(map(bool, (ids, filtered, source, whole))) != 1:
        raise typer.BadParameter(
            "give one of --id, --source, --all and a filter (--where, --after, --before, --near,"
            " --inside, --unlabelled)"
        )
    if path and not source:
        raise typer.BadParameter("--path needs --source")
    if models and whole:
        raise typer.BadParameter(
            "--all is the gallery with all its models; `landmarks collections --drop` deletes one"
        )
    selection = DeletionOptions(
        models=comma_separated(models),
        ids=ids or [],
        filter=chosen if filtered else None,
        source=source,
        path_prefix=path,
    )
    with connect(server) as client:
        if not yes:
            counts = (
                client.drop_gallery(gallery, dry_run=True)
                if whole
                else client.count_points(gallery, **selection)
            )
            confirm_deletion(counts, f"gallery {gallery!r}" if whole else "these points")
        deleted = client.drop_gallery(gallery) if whole else client.delete(gallery, **selection)
    if as_json:
        print_json(list(deleted))
        return
    rows = [(one.collection, str(one.points)) for one in deleted]
    print_table(("collection", ">deleted"), rows)


def confirm_deletion(counts: Sequence[pb.CountedPoints | pb.DeletedPoints], what: str) -> None:
    """Ask whether to delete these points; end the command if not."""
    console = error_console()  # standard output may be JSON
    for one in counts:
        console.print(f"{one.collection}: {one.points} points")
    if not any(one.points for one in counts):
        console.print("no point is selected")
    typer.confirm(f"Delete {what}?", abort=True, err=True)
