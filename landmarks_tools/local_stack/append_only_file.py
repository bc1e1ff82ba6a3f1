"""Copies the append-only file of a running Valkey, which goes on writing and rewriting it.

It is a base and the writes since then, in files that a manifest lists; a rewrite makes new ones,
replaces the manifest and deletes the old ones. An open file outlives its deletion, so what the
manifest listed before and after the files were opened belongs together. No setting of Valkey is
changed, so a copy that is killed leaves nothing behind in it.

Source: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from landmarks.errors import UnavailableError

_ATTEMPTS = 50


def copy_append_only_file(source: Path, target: Path) -> None:
    """Copy an `appendonlydir` to a new folder, as it was at one moment.

    The last file may end in half a command, which Valkey ignores on start. Raises UnavailableError
    if there is none, and OSError.
    """
    for _ in range(_ATTEMPTS):
        manifest = _read_manifest(source)
        with ExitStack() as files:
            try:
                opened = {
                    name: files.enter_context((source / name).open("rb"))
                    for name in _listed(manifest.text)
                }
            except FileNotFoundError:
                continue  # a rewrite has just ended
            if _read_manifest(source) != manifest:
                continue
            target.mkdir(parents=True)
            for name, file in opened.items():
                with (target / name).open("wb") as copy:
                    shutil.copyfileobj(file, copy)
            (target / manifest.name).write_text(manifest.text)
            return
    raise UnavailableError(f"Valkey rewrites its file in {source} all the time; try again later")


class _Manifest(NamedTuple):
    name: str
    text: str


def _read_manifest(source: Path) -> _Manifest:
    for path in sorted(source.glob("*.manifest")):
        return _Manifest(path.name, path.read_text())
    raise UnavailableError(f"Valkey has no append-only file in {source}; is it still starting?")


def _listed(text: str) -> list[str]:
    """Return the names in a manifest: `file NAME seq NUMBER type b|i|h`; h was replaced."""
    fields = [line.split() for line in text.splitlines() if line.startswith("file ")]
    return [one[1] for one in fields if one[-1] != "h"]
