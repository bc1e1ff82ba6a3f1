"""`landmarks keys`: the API keys of the search service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landmarks.security import api_keys
from landmarks.security.api_keys import Permission
from landmarks_tools.cli.output import JsonOption, console, print_json, print_table

keys = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Create, list and revoke the API keys of the search service.

The file holds hashes, not keys; the service reads it again when it changes. To rotate a key,
**create** one with another name, hand it out, then **revoke** the old one.""",
)

FileOption = Annotated[
    Path,
    typer.Option(
        "--file",
        envvar="LANDMARKS_API_KEYS_FILE",
        help="The file of keys, the same as the search service's.",
        dir_okay=False,
    ),
]
NameArgument = Annotated[str, typer.Argument(help="The key's owner, as shown in logs.")]


@keys.command()
def create(
    name: NameArgument,
    file: FileOption,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Permit indexing, deleting and promoting, not only searching."
        ),
    ] = False,
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            "--gallery",
            "-g",
            help="Limit the key to this gallery, which need not exist yet. Repeatable; by default"
            " it may use all.",
        ),
    ] = None,
) -> None:
    """Create a key and print it; it is shown only this once. Creates the file if needed."""
    permission = Permission.WRITE if write else Permission.READ
    typer.echo(api_keys.create(file, name, permission, gallery or ()))


@keys.command("list")
def list_(file: FileOption, as_json: JsonOption = False) -> None:
    """List the names of all keys, their permissions and their galleries."""
    found = api_keys.read(file)
    if as_json:
        print_json(
            [
                {
                    "name": key.name,
                    "permission": key.permission.value,
                    "created": key.created,
                    "galleries": sorted(key.galleries),
                }
                for key in found
            ]
        )
        return
    rows = [
        (
            key.name,
            key.permission.value,
            key.created,
            ", ".join(sorted(key.galleries)) or "all",
        )
        for key in found
    ]
    print_table(("name", "may", "created (UTC)", "galleries"), rows)


@keys.command()
def revoke(name: NameArgument, file: FileOption) -> None:
    """Revoke a key: its next call is refused."""
    api_keys.revoke(file, name)
    console.print(f"the key {name!r} is revoked")
