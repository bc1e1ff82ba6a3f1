"""Builds a collection's index on a copy while the collection keeps serving.

Edge's `optimize` blocks a process for seconds to minutes. So another process optimises a copy;
the writes made meanwhile are then repeated on it, and it replaces the original. Until the catalog
names the copy, the original has everything; a crash at any point costs only the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import structlog
from qdrant_client import grpc as q

from landmarks.edge_server import schema
from landmarks.edge_server.description import FILE as DESCRIPTION_FILE
from landmarks.edge_server.engine import Engine, in_thread, remove
from landmarks.edge_server.room import taken_by
from landmarks.edge_server.served_collection import ServedCollection
from landmarks.edge_server.shard_client import ShardClient, died
from landmarks.edge_server.sparse_copy import copy_tree
from landmarks.errors import (
    DiskFullError,
    InvalidInputError,
    LandmarksError,
    NotFoundError,
    OverloadedError,
    UnsupportedError,
)

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_FEW_WRITES = 8
_PAUSE_AFTER_FAILURE_SECONDS = 60.0


async def optimize_when_due(engine: Engine, quiet_seconds: float) -> None:
    """Build each index that is due, one at a time, once its collection is quiet for a while."""
    while True:
        await asyncio.sleep(min(_LOOK_SECONDS, quiet_seconds))
        for collection in engine.collections:
            quiet = time.monotonic() - collection.written_at
            if collection.settled or collection.problem or quiet < quiet_seconds:
                continue
            collection.settled = True  # before asking: a write that comes meanwhile counts
            try:
                if await _is_due(collection):
                    await optimize(engine, collection)
            except DiskFullError as error:
                _log.warning("an index is due, and not built", reason=str(error))
                _later(collection)
            except (LandmarksError, RuntimeError, OSError):
                _log.exception("an index could not be built", path=str(collection.path))
                _later(collection)


async def _is_due(collection: ServedCollection) -> bool:
    info = q.CollectionInfo.FromString(await collection.call("info"))
    if not schema.index_is_due(collection.config, info):
        return False
    # Points without a vector are counted, and in no index.
    with_vector = q.Condition(has_vector=q.HasVectorCondition(has_vector=""))
    request = q.CountPoints(filter=q.Filter(must=[with_vector]), exact=True)
    answer = await collection.call("Count", request.SerializeToString())
    info.points_count = q.CountResponse.FromString(answer).result.count
    return schema.index_is_due(collection.config, info)


def _later(collection: ServedCollection) -> None:
    collection.settled = False
    collection.written_at = time.monotonic() + _PAUSE_AFTER_FAILURE_SECONDS


async def optimize(engine: Engine, collection: ServedCollection) -> None:
    """Replace a collection's shard by an optimised copy."""
    started = time.monotonic()
    engine.room.require(2 * await asyncio.to_thread(taken_by, collection.path))  # copy and index
    serving = await collection.host()
    before, folder = collection.path, engine.new_shard()
    leftover = folder
    copy: ShardClient | None = None
    collection.optimizing = True
    try:
        # Copied by a thread of the server: the shard's process keeps answering queries.
        async with engine.files, collection.files_at_rest() as files:
            serving = await collection.host()
            serving.begin_journal()
            await in_thread(
                lambda: copy_tree(files, folder, leave_out=(DESCRIPTION_FILE,), into_existing=True)
            )
        await _build(collection, folder)
        copy = await collection.start("load", folder)
        async with engine.files:  # no snapshot is being taken of the folder
            while len(serving.journal or ()) > _FEW_WRITES:
                await _catch_up(serving, copy)
            collection.pause()
            await serving.drained()
            await _catch_up(serving, copy)
            if serving.gone:  # only its successor has what has been written since
                raise died()
            await engine.move(collection, folder)
            leftover = before
            collection.replace_host(copy, folder)
            copy = None
            collection.resume()
            await serving.discard()  # freeing gigabytes is slow: no request should wait
        _log.info("built an index", seconds=round(time.monotonic() - started, 1))
    finally:
        serving.journal = None
        collection.optimizing = False
        collection.resume()
        if copy is not None:
            await copy.discard()
        await remove(leftover)


async def _build(collection: ServedCollection, folder: Path) -> None:
    # In its own process, which has lowered its priority below the searches.
    builder = await collection.start("load", folder)
    try:
        await builder.call("optimize")
        await builder.call("close")
        await builder.discard()
    except BaseException:
        await builder.kill()
        raise


async def _catch_up(serving: ShardClient, copy: ShardClient) -> None:
    """Repeat on the copy what was written since it was made."""
    if serving.journal is None:
        raise OverloadedError("too much was written meanwhile; it is retried later")
    journal, serving.journal = serving.journal, []
    for method, request in journal:
        with contextlib.suppress(InvalidInputError, NotFoundError, UnsupportedError):
            await copy.call(method, request)  # what was refused before is refused again
