"""What is in a folder of this machine: folders, files, and what may be either."""

from __future__ import annotations

import os
from dataclasses import dataclass

from landmarks.errors import ForbiddenError
from landmarks.photos.file_types import folder_reason


@dataclass(frozen=True)
class LocalItem:
    """What is in a folder. `problem` says why it is not known what it is."""

    name: str
    is_folder: bool
    is_link: bool = False
    problem: str = ""


def looked_at(item: os.DirEntry[str], folder: int) -> LocalItem:
    """Return whether something is a folder, and if that cannot be found out, why.

    `folder` is the descriptor of the folder that it is in. Only a link costs a call to the file
    system. A file named like a photo reports why it cannot be read when it is read.
    """
    try:
        if folder_reason(item.name):  # it is skipped, wherever it may lead
            return LocalItem(item.name, item.is_dir(follow_symlinks=False))
        is_folder = item.is_dir()
        if item.is_symlink() and not is_folder:
            os.stat(item.name, dir_fd=folder)
    except OSError as error:
        where = "it is a link that cannot be followed" if item.is_symlink() else "it cannot be read"
        return LocalItem(item.name, False, problem=f"{where}: {error.strerror}")
    return LocalItem(item.name, is_folder, item.is_symlink())


def why_not(error: OSError | ForbiddenError) -> str:
    """Return why a folder is not listed."""
    if isinstance(error, ForbiddenError):
        return "it is a link out of the roots"
    return f"it cannot be read: {error.strerror}"
