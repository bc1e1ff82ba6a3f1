"""Files that are replaced as a whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

PARTIAL = ".partial"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` create a file, then move it to `path`: a reader sees the old file or the new.

    The new file is on disk before it takes the place of the old one, and so is its name
    afterwards. `write` gets a hidden name in the same folder that ends in `PARTIAL`; it may set
    mode and owner. What `write` raises is raised, and `path` stays as it was.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        write(partial)
        _sync(partial)
        partial.replace(path)
        sync_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make renames and new names in a folder durable."""
    _sync(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
