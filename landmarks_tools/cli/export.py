"""`landmarks export` and `landmarks import`: collections to files and back.

They call Qdrant directly (`LANDMARKS_QDRANT_HOST`, `LANDMARKS_QDRANT_PORT`) and not the search
service: operators move gigabytes, perhaps before any service runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmarks.errors import UnavailableError
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import JsonOption, console, error_console, print_json, progress

if TYPE_CHECKING:
    from landmarks.vector_store.export import CollectionTransfer

_PROMOTE = "landmarks collections --promote"


@requires_extra("indexer")
def export(
    collection: Annotated[
        str,
        typer.Argument(
            metavar="COLLECTION", help="A collection's name, or GALLERY__MODEL for the live one."
        ),
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write, such as landmarks.jsonl.gz.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Write a collection with its metadata to a file, as compressed JSON Lines.

    Calls Qdrant directly, at LANDMARKS_QDRANT_HOST and LANDMARKS_QDRANT_PORT. Searches and indexing
    continue; points written meanwhile may or may not be in the file.
    """
    with _transfer(quiet=as_json) as transfer:
        done = transfer.export(collection, file)
    if done.changed:
        error_console().print(
            f"warning: {done.collection} changed during the export; new points may be missing"
        )
    if as_json:
        print_json({"collection": done.collection, "points": done.points, "changed": done.changed})
        return
    size = file.stat().st_size / 1_000_000
    console.print(f"{done.collection}: {done.points} points in {file}, {size:.1f} MB")


@requires_extra("indexer")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files made by export.")],
    beside: Annotated[
        bool,
        typer.Option(
            "--beside",
            help="Do not make the imported collections live; use `collections --promote` later.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Store the collections of files in Qdrant, and make each live once it is complete.

    Calls Qdrant directly, at LANDMARKS_QDRANT_HOST and LANDMARKS_QDRANT_PORT. A damaged file is
    refused before anything is written. Safe to repeat: an interrupted import continues, a complete
    one changes nothing. Shards, replicas and quantization follow the LANDMARKS_QDRANT_… settings
    here.
    """
    done: list[object] = []
    with _transfer(quiet=as_json) as transfer:
        for file in files:
            one = transfer.import_(file, beside=beside)
            done.append({"file": str(file), **vars(one)})
            if as_json:
                continue
            written = f"{one.written} written" if one.written else "all present already"
            live = "live" if one.live else f"not live; {_PROMOTE} {one.collection} makes it live"
            was = f", replacing {one.replaced}" if one.replaced else ""
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
