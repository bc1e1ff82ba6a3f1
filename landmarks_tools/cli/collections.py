"""`landmarks collections`: list collections, and choose which is live."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET, Landmarks
from landmarks.errors import InvalidInputError
from landmarks.naming import parse_alias_name, parse_collection_name
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.copies import check_copies, repair_copies
from landmarks_tools.cli.output import (
    JsonOption,
    ServerOption,
    console,
    error_console,
    print_json,
    print_table,
)
from landmarks_tools.cli.reembedding import offers


def collections(
    gallery: Annotated[
        str,
        typer.Option("--gallery", "-g", help="Only this gallery's collections; by default all."),
    ] = "",
    promote: Annotated[
        str, typer.Option(metavar="COLLECTION", help="Make this collection live immediately.")
    ] = "",
    rollback: Annotated[
        str,
        typer.Option(
            metavar="GALLERY__MODEL",
            help="Make live again the collection that was live before the last promotion.",
        ),
    ] = "",
    drop: Annotated[
        str,
        typer.Option(
            metavar="COLLECTION",
            help="Delete a collection with its points; asks first if it is live.",
        ),
    ] = "",
    fix_layout: Annotated[
        str,
        typer.Option(
            metavar="COLLECTION",
            help="On a cluster: let fewer copies confirm a write, so that they cannot differ for"
            " good. Calls Qdrant directly, at LANDMARKS_QDRANT_HOST and LANDMARKS_QDRANT_PORT.",
        ),
    ] = "",
    check: Annotated[
        str,
        typer.Option(
            metavar="COLLECTION",
            help="Compare the copies of a collection in a cluster; status 6 if they differ.",
        ),
    ] = "",
    repair: Annotated[
        str,
        typer.Option(
            metavar="COLLECTION",
            help="Make the copies of a collection the same again, while it is in use.",
        ),
    ] = "",
    delete_unclear: Annotated[
        bool,
        typer.Option(
            "--delete-unclear",
            help="With --repair: delete photos of an earlier release that a copy lacks, instead of"
            " writing them to it.",
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="With --drop or --repair: do not ask for confirmation."),
    ] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """List collections, one per gallery, model and digest, or change which one is live."""
    if sum(map(bool, (promote, rollback, drop, fix_layout, check, repair))) > 1:
        raise typer.BadParameter(
            "give one of --promote, --rollback, --drop, --fix-layout, --check and --repair"
        )
    if delete_unclear and not repair:
        raise typer.BadParameter("--delete-unclear needs --repair")
    if fix_layout:
        _fix_layout(fix_layout)
        return
    with connect(server) as client:
        if promote:
            _print_live(client.promote(promote).live)
        elif rollback:
            _print_live(client.roll_back(*_gallery_and_model(rollback)).live)
        elif drop:
            _drop(client, drop, yes=yes)
        elif check:
            check_copies(client, check, as_json=as_json)
        elif repair:
            repair_copies(client, repair, delete_unclear=delete_unclear, yes=yes, as_json=as_json)
        else:
            found = list(client.collections(gallery))
            print_collections(found, as_json=as_json)
            if found and not as_json:
                for offer in offers(found, client.models()):
                    console.print(offer, soft_wrap=True)


def _drop(client: Landmarks, name: str, *, yes: bool) -> None:
    """Delete a collection; if it is live, ask first."""
    gallery, model = _gallery_and_model(name)
    found = [one for one in client.collections(gallery) if one.name == name]
    live = any(one.live for one in found)
    if live and not yes:
        said = error_console()
        said.print(f"{name} is live, with {found[0].points} points")
        said.print(f"without it, searches of gallery {gallery!r} find nothing with model {model!r}")
        typer.confirm("Delete it?", abort=True, err=True)
    client.drop(name, live_too=live)
    console.print(f"deleted {name}")


def _fix_layout(name: str) -> None:
    """Make the layout of a collection safe, at Qdrant itself."""
    from landmarks.vector_store.settings import VectorStoreSettings
    from landmarks.vector_store.store import VectorStore

    with closing(VectorStore(VectorStoreSettings.load())) as store:
        needed = store.collections.fix_layout(name)
    console.print(f"{name}: {needed} of its copies must confirm a write from now on")


def print_collections(found: list[pb.Collection], *, as_json: bool) -> None:
    """Print collections as a table, and below it what is wrong with any of them."""
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("no collections yet; `landmarks index FOLDER` creates one")
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
    for item in found:
        for wrong in filter(None, (item.problem, item.unsafe_layout)):
            console.print(f"{item.name}: {wrong}", soft_wrap=True)


def _print_live(live: pb.Collection) -> None:
    console.print(f"{live.name} is live: {live.points} points")


def _gallery_and_model(name: str) -> tuple[str, str]:
    """Return gallery and model of a collection's name or of `<gallery>__<model>`."""
    collection, alias = parse_collection_name(name), parse_alias_name(name)
    if collection is not None:
        return collection.gallery, collection.model
    if alias is None:
        raise InvalidInputError(f"{name!r} is not <gallery>__<model>", field="name")
    return alias
