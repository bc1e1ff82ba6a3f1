"""`landmarks backup` and `landmarks restore`: the data of `landmarks up`, as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import JsonOption, console, print_json
from landmarks_tools.local_stack.settings import StackSettings

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="As told to `landmarks up`.", show_default=False),
]


@requires_extra("local")
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="It must not exist yet.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the vectors and jobs of `landmarks up` to a folder, while it runs or when it does not.

    Searches go on; writes wait while the files that they go to are copied. Not in it: photos,
    weights and the models themselves, settings, logs.
    """
    from landmarks_tools.local_stack.backup import back_up

    done = back_up(_data_dir(data_dir), folder.expanduser().resolve())
    if as_json:
        print_json(done.as_json())
        return
    console.print(
        f"{folder}: {len(done.collections)} collections and the jobs, {len(done.files)} files,"
        f" {done.size / 1_000_000:.1f} MB; taken while the stack"
        f" {'ran' if done.running else 'was stopped'}"
    )


@requires_extra("local")
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made by `landmarks backup`.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of data that are gone; then start the stack as usual.

    Every file is checked first. Data that are there are not touched: the folder has to be without.
    """
    from landmarks_tools.local_stack.backup import restore as put_back

    target = _data_dir(data_dir)
    done = put_back(folder.expanduser().resolve(), target)
    if as_json:
        print_json(done.as_json())
        return
    console.print(
        f"{len(done.collections)} collections and the jobs of {done.made_at} are in {target};"
        f" start it with `landmarks up{f' --data-dir {data_dir}' if data_dir else ''}`"
    )


def _data_dir(given: Path | None) -> Path:
    return (given or StackSettings.load().data_dir).expanduser().resolve()
