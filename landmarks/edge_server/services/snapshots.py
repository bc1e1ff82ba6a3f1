"""The Snapshots service: a copy of all collections and aliases, for a backup.

It is a folder, `snapshots/<name>` in the data directory, laid out as the data directory itself, so
that a server can be started on it. Reads go on. Writes to a collection wait while its files are
copied; changes of collections and aliases wait until the snapshot is complete.
"""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

from google.protobuf.message import Message
from qdrant_client import grpc as q

from landmarks.edge_server.engine import PARTIAL_SNAPSHOT, Engine, in_thread
from landmarks.edge_server.room import taken_by
from landmarks.edge_server.services.collections import typed
from landmarks.edge_server.services.registration import Handler
from landmarks.edge_server.sparse_copy import copy_tree
from landmarks.errors import DiskFullError


class SnapshotsService:
    """Creates full snapshots. Only the last one is kept: the caller moves it elsewhere."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handlers(self) -> dict[str, Handler]:
        """Return the methods that are served."""
        return {"CreateFull": typed(q.CreateFullSnapshotRequest, self._create_full)}

    async def _create_full(self, _request: q.CreateFullSnapshotRequest) -> Message:
        folder = await take_snapshot(self._engine)
        answer = q.CreateSnapshotResponse()
        answer.snapshot_description.name = folder.name
        answer.snapshot_description.creation_time.FromDatetime(datetime.now(UTC))
        answer.snapshot_description.size = await asyncio.to_thread(_bytes_in, folder)
        return answer


async def take_snapshot(engine: Engine) -> Path:
    """Copy everything into a new folder, and return it; earlier snapshots are removed.

    Raises UnavailableError if a shard's process died meanwhile, DiskFullError if it does
    not fit on the disk.
    """
    async with engine.at_rest() as catalog:
        name = f"full-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S-%f}"
        partial, done = engine.snapshots / PARTIAL_SNAPSHOT, engine.snapshots / name
        try:
            await in_thread(lambda: shutil.rmtree(engine.snapshots, ignore_errors=True))
            size = await asyncio.to_thread(taken_by, engine.shards)
            engine.room.require(size)
            (partial / "shards").mkdir(parents=True)
            for collection in engine.collections:
                async with collection.files_at_rest() as path:
                    if not path.is_dir():
                        continue  # a damaged shard; it is as damaged in the snapshot
                    await in_thread(
                        lambda path=path: copy_tree(  # type: ignore[misc]
                            path, partial / "shards" / path.name
                        )
                    )
            catalog.save(partial)
            partial.rename(done)
        except OSError as error:
            raise DiskFullError(
                f"the snapshot could not be written; is there room for a copy of everything?"
                f" {error}"
            ) from error
        finally:
            await in_thread(lambda: shutil.rmtree(partial, ignore_errors=True))
    return done


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
