"""Backup and restore of the stack on one machine, running or stopped.

A backup holds the vectors and Valkey's append-only file, which holds the jobs. Valkey is copied
first, so that the backup's jobs refer to no photo that is missing from the vectors copied after
them. Photos stored in between are indexed again after a restore, and found unchanged.

Of a stack whose vectors are in a Qdrant that is not its own, a backup has the jobs alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from landmarks.edge_server.catalog import Catalog
from landmarks.edge_server.dir_lock import lock
from landmarks.edge_server.sparse_copy import copy_file, copy_tree
from landmarks.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LandmarksError,
    NotFoundError,
)
from landmarks.settings import ENV_PREFIX, QdrantSettings
from landmarks.vector_store.client import address_of, connect
from landmarks.vector_store.errors import qdrant_failures
from landmarks_tools.local_stack.append_only_file import copy_append_only_file
from landmarks_tools.local_stack.data_lock import data_locked, stack_runs
from landmarks_tools.local_stack.qdrant_place import remember, remembered

_FORMAT = "landmarks-backup"
# Of the whole; and of jobs alone, which earlier releases cannot restore.
_WHOLE, _JOBS_ALONE = 1, 2
_MANIFEST = "backup.json"
_UNFINISHED = "backup.unfinished"
_VECTORS, _JOBS = "qdrant", "valkey"
_AOF = "appendonlydir"
_LEFT_OUT = ("*.lock", "*.room", "snapshots", "orphans")
_SNAPSHOT_SECONDS = 3600.0
_ENDS_SECONDS = 60.0


@dataclass(frozen=True)
class BackedUpFile:
    """A file of a backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Backup:
    """The contents of a backup; `files` by their path in it.

    `qdrant` has the addresses of the Qdrant whose vectors are not in it; empty: they are in it.
    """

    made_at: str
    running: bool
    collections: tuple[str, ...]
    files: Mapping[str, BackedUpFile]
    qdrant: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders that it has of a data folder."""
        return (_JOBS,) if self.qdrant else (_VECTORS, _JOBS)

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(one.bytes for one in self.files.values())

    def as_json(self) -> dict[str, object]:
        """Return a summary for JSON output."""
        return {
            "made_at": self.made_at,
            "running": self.running,
            "collections": list(self.collections),
            "qdrant": self.qdrant,
            "files": len(self.files),
            "bytes": self.size,
        }


def back_up(data_dir: Path, folder: Path) -> Backup:
    """Copy a stack's data to a new folder, which appears once it is complete.

    Raises AlreadyExistsError if the folder exists, NotFoundError if there are no data and
    UnavailableError if the running stack does not answer.
    """
    if folder.exists():
        raise AlreadyExistsError(
            f"{folder} exists; name a new folder, such as one with today's date"
        )
    elsewhere = remembered(data_dir)
    if not (data_dir / (_JOBS if elsewhere else _VECTORS)).is_dir():
        raise NotFoundError(
            f"{data_dir} has no data of `landmarks up`; choose its folder with --data-dir"
        )
    with _backup_locked(data_dir):
        return _back_up(data_dir, folder, elsewhere)


def _back_up(data_dir: Path, folder: Path, elsewhere: str) -> Backup:
    partial = _new_partial(folder)
    try:
        running = stack_runs(data_dir)
        if running:
            copy_append_only_file(data_dir / _JOBS / _AOF, partial / _JOBS / _AOF)
            if not elsewhere:
                _copy_running_vectors(data_dir, partial)
        else:
            _copy_stopped(data_dir, partial, vectors=not elsewhere)
        made = Backup(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            running=running,
            collections=tuple(sorted((Catalog.load(partial / _VECTORS) or Catalog()).collections)),
            files={name: file for name, file in _files(partial) if name != _UNFINISHED},
            qdrant=elsewhere,
        )
        _write_manifest(made, partial)
        (partial / _UNFINISHED).unlink()
        os.sync()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


def _new_partial(folder: Path) -> Path:
    """Make the folder in which a backup is made; one that a killed backup has left is replaced.

    Raises AlreadyExistsError for a folder of that name that no backup has made.
    """
    partial = folder.with_name(f"{folder.name}.part")
    if partial.exists():
        if not (partial / _UNFINISHED).is_file():
            raise AlreadyExistsError(
                f"{partial} exists, where the backup would be made, and is no unfinished backup;"
                " move it elsewhere, or name another folder"
            )
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    (partial / _UNFINISHED).write_text("`landmarks backup` removes this file when it is done\n")
    return partial


def restore(folder: Path, data_dir: Path) -> Backup:
    """Copy a backup into a data folder without data, after verifying every file of the backup.

    Raises NotFoundError or InvalidInputError for a missing or damaged backup, AlreadyExistsError if
    the folder has data, ConfigurationError if a stack runs on it.
    """
    made = _read_manifest(folder)
    _check(folder, made)
    with _backup_locked(data_dir), data_locked(data_dir):
        taken = [data_dir / name for name in made.parts if _has_data(data_dir / name)]
        if taken:
            raise AlreadyExistsError(
                f"there are data already; first move {' and '.join(map(str, taken))} elsewhere"
            )
        arriving = data_dir / "restoring"
        shutil.rmtree(arriving, ignore_errors=True)
        for name in made.parts:
            copy_tree(folder / name, arriving / name)
        os.sync()
        for name in made.parts:
            shutil.rmtree(data_dir / name, ignore_errors=True)  # empty, see _has_data
            (arriving / name).rename(data_dir / name)
        arriving.rmdir()
        remember(data_dir, made.qdrant)
    return made


def _backup_locked(data_dir: Path) -> contextlib.AbstractContextManager[None]:
    return data_locked(data_dir, "backup.lock", "another backup or restore is running")


def _copy_stopped(data_dir: Path, target: Path, *, vectors: bool) -> None:
    with data_locked(data_dir), contextlib.ExitStack() as held:
        if vectors:
            # The engine may outlive a killed `landmarks up` by some seconds.
            held.enter_context(lock(data_dir / _VECTORS / "server.lock", _ENDS_SECONDS))
        for name in (_JOBS, _VECTORS) if vectors else (_JOBS,):
            copy_tree(data_dir / name, target / name, leave_out=_LEFT_OUT)


def _copy_running_vectors(data_dir: Path, target: Path) -> None:
    """Copy from the running stack; its plan has the addresses of its parts."""
    plan = json.loads((data_dir / "run" / "plan.json").read_text())
    environment = plan["qdrant"]["environment"]
    settings = QdrantSettings.load(
        {
            "qdrant_host": environment[f"{ENV_PREFIX}QDRANT_HOST"],
            "qdrant_port": environment[f"{ENV_PREFIX}QDRANT_PORT"],
            "qdrant_timeout_seconds": _SNAPSHOT_SECONDS,
            "qdrant_tls": False,  # `landmarks up` never uses TLS, whatever the environment sets
        }
    )
    with contextlib.closing(connect(settings)) as client, qdrant_failures(address_of(settings)):
        snapshot = client.create_full_snapshot()
    if snapshot is None:
        raise LandmarksError("the vector database made no snapshot and gave no reason")
    made = data_dir / _VECTORS / "snapshots" / snapshot.name
    try:
        shutil.move(made, target / _VECTORS, copy_function=copy_file)
    finally:  # a full disk must not keep a second copy of everything
        shutil.rmtree(made, ignore_errors=True)


def _files(folder: Path) -> Iterator[tuple[str, BackedUpFile]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield path.relative_to(folder).as_posix(), BackedUpFile(path.stat().st_size, digest)


def _write_manifest(made: Backup, folder: Path) -> None:
    content = {
        "format": _FORMAT,
        "version": _JOBS_ALONE if made.qdrant else _WHOLE,
        "made_at": made.made_at,
        "running": made.running,
        "collections": list(made.collections),
        "qdrant": made.qdrant,
        "files": {path: [file.bytes, file.sha256] for path, file in made.files.items()},
    }
    (folder / _MANIFEST).write_text(json.dumps(content, indent=1))


def _read_manifest(folder: Path) -> Backup:
    path = folder / _MANIFEST
    if not path.is_file():
        raise NotFoundError(f"{folder} is no backup: it has no {_MANIFEST}")
    try:
        found = json.loads(path.read_text())
        if found["format"] != _FORMAT or found["version"] not in (_WHOLE, _JOBS_ALONE):
            raise InvalidInputError(f"{path} was written by another version of the program")
        return Backup(
            made_at=str(found["made_at"]),
            running=bool(found["running"]),
            collections=tuple(map(str, found["collections"])),
            files={
                name: BackedUpFile(int(size), str(sha))
                for name, (size, sha) in found["files"].items()
            },
            qdrant=str(found.get("qdrant", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from error


def _check(folder: Path, made: Backup) -> None:
    there = {name: file for name, file in _files(folder) if name != _MANIFEST}
    for name in sorted({*there, *made.files}):
        if there.get(name) != made.files.get(name):
            wrong = "has changed since the backup" if name in there else "is missing"
            raise InvalidInputError(
                f"{folder / name} {wrong}; the backup is damaged and cannot be restored"
            )


def _has_data(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix != ".lock" for path in folder.iterdir())
