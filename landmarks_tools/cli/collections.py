"""`landmarks collections` and `landmarks delete`: what is stored, and changing it."""

from __future__ import annotations

from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET
from landmarks.errors import InvalidInputError
from landmarks.naming import parse_alias_name, parse_collection_name
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.index import absolute, finish, follow, print_totals
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ModelsOption,
    ServerOption,
    comma_separated,
    console,
    print_json,
    print_table,
)
from landmarks_tools.cli.search import parse_where


def collections(
    gallery: Annotated[
        str, typer.Option("--gallery", "-g", help="Only this gallery's; all if left out.")
    ] = "",
    promote: Annotated[str, typer.Option(metavar="COLLECTION", help="Make it live, at once.")] = "",
    rollback: Annotated[
        str,
        typer.Option(
            metavar="GALLERY__MODEL",
            help="Make the collection live again that was before the last one was promoted.",
        ),
    ] = "",
    drop: Annotated[
        str, typer.Option(metavar="COLLECTION", help="Delete it and its points; not a live one.")
    ] = "",
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """List the collections, one per gallery, model and digest, or change which is live."""
    if sum(map(bool, (promote, rollback, drop))) > 1:
        raise typer.BadParameter("give one of --promote, --rollback and --drop")
    with connect(server) as client:
        if promote:
            _tell(client.promote(promote).live)
        elif rollback:
            _tell(client.roll_back(*_gallery_and_model(rollback)).live)
        elif drop:
            client.drop(drop)
            console.print(f"{drop} is deleted")
        else:
            _print_collections(list(client.collections(gallery)), as_json=as_json)


def reindex(
    model: Annotated[str, typer.Argument(help="The model whose encoder is to be replaced.")],
    gallery: GalleryOption = DEFAULT_GALLERY,
    queries: Annotated[
        str,
        typer.Option(
            metavar="MANIFEST",
            help="Labelled photos to search for in both collections: the new one is promoted only"
            " if it finds them as well.",
        ),
    ] = "",
    split: Annotated[
        list[str] | None,
        typer.Option("--split", "-s", help="Only queries of this split. Repeatable."),
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="How much lower the new mAP@100 may be.")
    ] = 0.0,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait until the job has ended.")
    ] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Encode a gallery anew with a newer encoder that runs beside the present one.

    Searches go on meanwhile. When the new collection is complete, it takes the old one's place;
    `landmarks collections --rollback` is the way back.
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


def delete(
    gallery: GalleryOption = DEFAULT_GALLERY,
    models: ModelsOption = "",
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="This point. Repeatable.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE", help="As for `landmarks search`. Repeatable."),
    ] = None,
    source: Annotated[str, typer.Option(metavar="NAME", help="What came from this source.")] = "",
    path: Annotated[
        str, typer.Option(metavar="PREFIX", help="With --source: only paths that begin so.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
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


def _print_collections(found: list[pb.Collection], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("no collections yet; fill one with `landmarks index FOLDER`")
        return
    rows = [
        (
            item.name,
            item.gallery,
            item.model,
            item.digest[:8],
            str(item.points),
            str(item.dimension),
            str(item.indexed_vectors),
            item.status,
            "yes" if item.live else "no",
            "yes" if item.calibrated else "no",
        )
        for item in found
    ]
    columns = (
        "collection",
        "gallery",
        "model",
        "digest",
        ">points",
        ">dimension",
        ">indexed",
        "status",
        "live",
        "calibrated",
    )
    print_table(columns, rows)


def _tell(live: pb.Collection) -> None:
    console.print(f"{live.name} is live: {live.points} points")


def _gallery_and_model(name: str) -> tuple[str, str]:
    """Return what a collection's name, or `<gallery>__<model>`, says."""
    collection, alias = parse_collection_name(name), parse_alias_name(name)
    if collection is not None:
        return collection.gallery, collection.model
    if alias is None:
        raise InvalidInputError(f"{name!r} is not <gallery>__<model>", field="name")
    return alias
