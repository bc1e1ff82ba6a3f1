"""`landmarks export` and `landmarks import`: collections to files and back.

They talk to Qdrant itself (`LANDMARKS_QDRANT_HOST`, `LANDMARKS_QDRANT_PORT`), not to the search
service: for the operator, who moves gigabytes and may want to before any service runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from landmarks.errors import UnavailableError
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import JsonOption, console, print_json, progress

if TYPE_CHECKING:
    from landmarks.vector_store.export import CollectionTransfer

_PROMOTE = "landmarks collections --promote"


@requires_extra("indexer")
def export(
    collection: Annotated[
        str,
        typer.Argument(
            metavar="COLLECTION", help="A collection's name, or GALLERY__MODEL: the live one."
        ),
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As in landmarks.jsonl.gz.")],
    as_json: JsonOption = False,
) -> None:
    """Write a collection with all that is noted of it to a file, as compressed JSON Lines.

    Asks Qdrant itself: LANDMARKS_QDRANT_HOST, LANDMARKS_QDRANT_PORT. Searches and indexing go on;
    what is written meanwhile may be in the file or not.
    """
    with _transfer(quiet=as_json) as transfer:
        done = transfer.export(collection, file)
    if done.changed:
        Console(stderr=True, highlight=False).print(
            f"warning: {done.collection} was written to meanwhile; what came then may be missing"
        )
    if as_json:
        print_json({"collection": done.collection, "points": done.points, "changed": done.changed})
        return
    size = file.stat().st_size / 1_000_000
    console.print(f"{done.collection}: {done.points} points in {file}, {size:.1f} MB")


@requires_extra("indexer")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Made by export.")],
    beside: Annotated[
        bool, typer.Option("--beside", help="Leave live what is; `collections --promote` later.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Store collections of files in Qdrant, and make each live once it is complete.

    Asks Qdrant itself: LANDMARKS_QDRANT_HOST, LANDMARKS_QDRANT_PORT. A damaged file is refused
    before anything is written. May be done again: after a break it goes on, after success it
    changes nothing. Shards, copies and quantization are those of this side's LANDMARKS_QDRANT_….
    """
    done: list[object] = []
    with _transfer(quiet=as_json) as transfer:
        for file in files:
            one = transfer.import_(file, beside=beside)
            done.append({"file": str(file), **vars(one)})
            if as_json:
                continue
            written = f"{one.written} written" if one.written else "all there already"
            live = "live" if one.live else f"not live; {_PROMOTE} {one.collection} makes it so"
            was = f" in place of {one.replaced}" if one.replaced else ""
            console.print(f"{one.collection}: {one.points} points, {written}; {live}{was}")
    if as_json:
        print_json(done)


@contextmanager
def _transfer(*, quiet: bool) -> Iterator[CollectionTransfer]:
    from landmarks.vector_store.client import connect
    from landmarks.vector_store.export import CollectionTransfer
    from landmarks.vector_store.settings import VectorStoreSettings

    settings = VectorStoreSettings.load()
    with progress(aside=quiet) as show, closing(connect(settings)) as client:
        try:
            yield CollectionTransfer(client, settings, show)
        except UnavailableError as error:
            raise UnavailableError(
                f"{error}; is it running, and do LANDMARKS_QDRANT_HOST and LANDMARKS_QDRANT_PORT"
                " say where?"
            ) from error
