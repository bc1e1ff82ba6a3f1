"""Writes as the parts of them that each shard gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message
from qdrant_client import grpc as q

from tests.support.qdrant_cluster.layout import Collection
from tests.support.qdrant_cluster.refusal import RefusalError

# Each write is of a message of its own.
WRITES: dict[str, type[Message]] = {
    "Upsert": q.UpsertPoints,
    "Delete": q.DeletePoints,
    "SetPayload": q.SetPayloadPoints,
    "OverwritePayload": q.SetPayloadPoints,
    "DeletePayload": q.DeletePayloadPoints,
    "ClearPayload": q.ClearPayloadPoints,
    "CreateFieldIndex": q.CreateFieldIndexCollection,
    "DeleteFieldIndex": q.DeleteFieldIndexCollection,
}
_OF_A_BATCH = {
    "upsert": "Upsert",
    "set_payload": "SetPayload",
    "overwrite_payload": "OverwritePayload",
    "delete_payload": "DeletePayload",
    "delete_points": "Delete",
    "clear_payload": "ClearPayload",
}


def by_shard(collection: Collection, request: Any) -> dict[int, Any]:
    """Return the parts of a write, by the number of their shard."""
    if isinstance(request, q.UpsertPoints):
        return _upserts(collection, request)
    field = "points" if hasattr(request, "points") else "points_selector"
    if not hasattr(request, field):
        return _whole(collection, request)  # of all points, as an index is
    selector = getattr(request, field)
    if not selector.HasField("points"):
        return _whole(collection, request)
    parts: dict[int, Any] = {}
    for number, ids in ids_by_shard(collection, selector.points.ids).items():
        parts[number] = part = type(request)()
        part.CopyFrom(request)
        getattr(part, field).points.CopyFrom(q.PointsIdsList(ids=ids))
    return parts


def ids_by_shard(collection: Collection, ids: Iterable[q.PointId]) -> dict[int, list[q.PointId]]:
    """Return points' ids by the number of their shard."""
    parts: dict[int, list[q.PointId]] = {}
    for one in ids:
        parts.setdefault(collection.shard_of(one).number, []).append(one)
    return parts


def single_writes(batch: q.UpdateBatchPoints) -> Iterator[tuple[str, Any]]:
    """Yield the writes of a batch, and which method each would be by itself."""
    for operation in batch.operations:
        kind = operation.WhichOneof("operation")
        if kind not in _OF_A_BATCH:
            raise RefusalError(
                grpc.StatusCode.UNIMPLEMENTED, f"{kind} is not supported by the stand-in"
            )
        method = _OF_A_BATCH[kind]
        request: Any = WRITES[method](collection_name=batch.collection_name, wait=batch.wait)
        given = getattr(operation, kind)
        for field, value in given.ListFields():
            copy_field(field.name, value, request)
        yield method, request


def copy_field(name: str, value: Any, target: Any) -> None:
    """Set a field of a message to the value that one of the same name has in another."""
    described = target.DESCRIPTOR.fields_by_name[name]
    if described.is_repeated:
        getattr(target, name).MergeFrom(value)
    elif described.message_type is not None:
        getattr(target, name).CopyFrom(value)
    else:
        setattr(target, name, value)


def _upserts(collection: Collection, request: q.UpsertPoints) -> dict[int, q.UpsertPoints]:
    shell = q.UpsertPoints()
    shell.CopyFrom(request)
    del shell.points[:]
    parts: dict[int, q.UpsertPoints] = {}
    for point in request.points:
        number = collection.shard_of(point.id).number
        if number not in parts:
            parts[number] = q.UpsertPoints()
            parts[number].CopyFrom(shell)
        parts[number].points.append(point)
    return parts


def _whole(collection: Collection, request: Any) -> dict[int, Any]:
    return {shard.number: request for shard in collection.shards}
