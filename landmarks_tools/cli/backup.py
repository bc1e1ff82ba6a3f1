"""`landmarks backup` and `landmarks restore`: the data of `landmarks up` as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import JsonOption, console, print_json
from landmarks_tools.local_stack.settings import StackSettings

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data folder given to `landmarks up`.", show_default=False),
]


@requires_extra("local")
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the vectors and jobs of `landmarks up` to a folder, whether it runs or not.

    Searches continue; writes wait while their files are copied. Photos, weights, trained models,
    settings and logs are not included; nor are the vectors of `landmarks up --qdrant`, which are
    that Qdrant's to back up.
    """
    from landmarks_tools.local_stack.backup import back_up

    done = back_up(_data_dir(data_dir), folder.expanduser().resolve())
    if as_json:
        print_json(done.as_json())
        return
    what = "the jobs alone" if done.qdrant else f"{len(done.collections)} collections and the jobs"
    console.print(
        f"{folder}: {what}, {len(done.files)} files, {done.size / 1_000_000:.1f} MB; taken while"
        f" the stack {'was running' if done.running else 'was stopped'}"
    )
    if done.qdrant:
        console.print(f"The vectors are not in it. {_not_ours(done.qdrant)}")


def _not_ours(qdrant: str) -> str:
    return (
        f"They are in Qdrant at {qdrant}, which `landmarks up` does not run: take its snapshots, or"
        " `landmarks export` of each gallery, after this backup (docs/operations.md)"
    )


@requires_extra("local")
def restore(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder made by `landmarks backup`.")
    ],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty data folder; then start the stack as usual.

    Every file is verified first. Existing data are never overwritten: move them away before.
    """
    from landmarks_tools.local_stack.backup import restore as put_back

    target = _data_dir(data_dir)
    done = put_back(folder.expanduser().resolve(), target)
    if as_json:
        print_json(done.as_json())
        return
    what = "the jobs" if done.qdrant else f"{len(done.collections)} collections and the jobs"
    console.print(
        f"restored {what} of {done.made_at} to {target};"
        f" start the stack with `landmarks up{f' --data-dir {data_dir}' if data_dir else ''}`"
    )
    if done.qdrant:
        console.print(
            f"The vectors are not in it: they are those of Qdrant at {done.qdrant}, which the stack"
            " will use; photos that it lacks are stored by indexing them again"
        )


def _data_dir(given: Path | None) -> Path:
    return (given or StackSettings.load().data_dir).expanduser().resolve()
