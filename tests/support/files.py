"""Files and folders of tests."""

from __future__ import annotations

from pathlib import Path

from landmarks.settings import default_cache_dir

_BLOCK = 512  # of st_blocks, whatever the file system's own


def on_disk(folder: Path) -> int:
    """Return how many bytes of the disk a folder's files take; their holes take none."""
    return sum(path.stat().st_blocks * _BLOCK for path in folder.rglob("*") if path.is_file())


def cache_of_its_own(folder: Path) -> Path:
    """Make a cache folder that shares nothing but exported networks with the user's.

    To export a network takes seconds, and no test of embeddings depends on it.
    """
    exported = default_cache_dir() / "prepared"
    exported.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / exported.name).symlink_to(exported)
    return folder
