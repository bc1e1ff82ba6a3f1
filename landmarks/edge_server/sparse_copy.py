"""Copies of an engine's files, which are mostly holes.

A new collection's files are some 270 MB long and hold kilobytes: the engine maps them whole, and
fills them as points are added. A plain copy would write the zeros read from a hole.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_BLOCK = 64 * 1024
_ZEROS = bytes(_BLOCK)


def copy_tree(
    source: Path, target: Path, *, leave_out: tuple[str, ...] = (), into_existing: bool = False
) -> None:
    """Copy a folder except files that match the patterns in `leave_out`; holes stay holes.

    Raises OSError, and FileExistsError if `target` exists, unless `into_existing`.
    """
    shutil.copytree(
        source,
        target,
        ignore=shutil.ignore_patterns(*leave_out),
        copy_function=copy_file,
        dirs_exist_ok=into_existing,
    )


def copy_file(source: str, target: str) -> str:
    """Copy a file and its times, without writing blocks of zeros. For shutil's `copy_function`.

    It looks for zeros instead of asking the file system for holes: that works everywhere, and also
    for a copy whose holes were filled on the way.
    """
    with Path(source).open("rb") as original, Path(target).open("wb") as copy:
        while block := original.read(_BLOCK):
            if block == _ZEROS:
                copy.seek(len(block), os.SEEK_CUR)
            else:
                copy.write(block)
        copy.truncate()  # to where it stands, which is behind the end after a last hole
    shutil.copystat(source, target)
    return target
