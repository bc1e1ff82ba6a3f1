"""The writes of the Points service, carried out by Edge."""

from __future__ import annotations

from collections.abc import Sequence

import qdrant_edge as edge
from google.protobuf.message import Message
from qdrant_client import grpc as q

from landmarks.edge_server import conversions as convert
from landmarks.edge_server import schema
from landmarks.edge_server.point_count import PointCount
from landmarks.edge_server.shard_handlers import Handlers
from landmarks.errors import InvalidInputError, NotFoundError

_UPDATE_MODES = {
    q.UpdateMode.Upsert: edge.UpdateMode.Upsert,
    q.UpdateMode.InsertOnly: edge.UpdateMode.InsertOnly,
    q.UpdateMode.UpdateOnly: edge.UpdateMode.UpdateOnly,
}


class ShardWrites:
    """Changes the points and payload indexes of one shard."""

    def __init__(self, shard: edge.EdgeShard, dimension: int, count: PointCount) -> None:
        self._shard = shard
        self._dimension = dimension
        self._count = count
        self._operations = 0
        self.unflushed = False
        """Whether there are writes that only the write-ahead log holds."""

    def handlers(self) -> Handlers:
        """Return what carries out each method, by its name."""
        return {
            "Upsert": (q.UpsertPoints, self._upsert),
            "Delete": (q.DeletePoints, self._delete),
            "SetPayload": (q.SetPayloadPoints, self._set_payload),
            "OverwritePayload": (q.SetPayloadPoints, self._overwrite_payload),
            "DeletePayload": (q.DeletePayloadPoints, self._delete_payload),
            "ClearPayload": (q.ClearPayloadPoints, self._clear_payload),
            "UpdateBatch": (q.UpdateBatchPoints, self._update_batch),
            "CreateFieldIndex": (q.CreateFieldIndexCollection, self._create_index),
            "DeleteFieldIndex": (q.DeleteFieldIndexCollection, self._delete_index),
        }

    def _apply(self, operation: edge.UpdateOperation) -> None:
        self.unflushed = True
        self._operations += 1
        self._shard.update(operation)

    def _apply_counted(self, operation: edge.UpdateOperation, removed: int | None = 0) -> None:
        """Carry out a write that changes how many points there are; None: it may remove any."""
        before = self._shard.info().points_count
        self._count.expect(before, before if removed is None else removed)
        self._apply(operation)
        self._count.record(self._shard.info().points_count, before)

    def _done(self, wait: bool) -> q.PointsOperationResponse:
        return q.PointsOperationResponse(result=self._result(wait))

    def _result(self, wait: bool) -> q.UpdateResult:
        return q.UpdateResult(
            operation_id=self._operations, status=q.Completed if wait else q.Acknowledged
        )

    def _upsert(
        self, request: q.UpsertPoints | q.PointsUpdateOperation.PointStructList
    ) -> q.PointsOperationResponse:
        points = [self._point(point) for point in request.points]
        condition = None
        if request.HasField("update_filter"):
            condition = convert.query_filter(request.update_filter)
        if points:
            self._apply_counted(
                edge.UpdateOperation.upsert_points(
                    points, condition, _UPDATE_MODES[request.update_mode]
                )
            )
        return self._done(_waits(request))

    def _point(self, point: q.PointStruct) -> edge.Point:
        one = convert.point_id(point.id)
        if point.vectors.HasField("vectors"):
            return edge.Point(one, {}, convert.payload(point.payload))
        given = point.vectors.vector
        data = given.dense.data if given.HasField("dense") else given.data
        numbers = convert.vector(data, self._dimension, f"the vector of point {one}")
        return edge.Point(one, numbers, convert.payload(point.payload))

    def _delete(
        self, request: q.DeletePoints | q.PointsUpdateOperation.DeletePoints
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points)
        if chosen is not None:
            self._apply_counted(edge.UpdateOperation.delete_points_by_filter(chosen), None)
        elif ids:
            self._apply_counted(edge.UpdateOperation.delete_points(ids), len(ids))
        return self._done(_waits(request))

    def _set_payload(
        self, request: q.SetPayloadPoints | q.PointsUpdateOperation.SetPayload
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points_selector)
        values = convert.payload(request.payload)
        if chosen is not None:
            self._apply(edge.UpdateOperation.set_payload_by_filter(chosen, values))
        elif ids:
            self._require(ids)
            self._apply(edge.UpdateOperation.set_payload(ids, values))
        return self._done(_waits(request))

    def _overwrite_payload(
        self, request: q.SetPayloadPoints | q.PointsUpdateOperation.OverwritePayload
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points_selector)
        values = convert.payload(request.payload)
        if chosen is not None:
            self._apply(edge.UpdateOperation.overwrite_payload_by_filter(chosen, values))
        elif ids:
            self._require(ids)
            self._apply(edge.UpdateOperation.overwrite_payload(ids, values))
        return self._done(_waits(request))

    def _delete_payload(
        self, request: q.DeletePayloadPoints | q.PointsUpdateOperation.DeletePayload
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points_selector)
        keys = list(request.keys)
        if chosen is not None:
            self._apply(edge.UpdateOperation.delete_payload_by_filter(chosen, keys))
        elif ids:
            self._require(ids)
            self._apply(edge.UpdateOperation.delete_payload(ids, keys))
        return self._done(_waits(request))

    def _clear_payload(
        self, request: q.ClearPayloadPoints | q.PointsUpdateOperation.ClearPayload
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points)
        if chosen is not None:
            self._apply(edge.UpdateOperation.clear_payload_by_filter(chosen))
        elif ids:
            self._require(ids)
            self._apply(edge.UpdateOperation.clear_payload(ids))
        return self._done(_waits(request))

    def _update_batch(self, request: q.UpdateBatchPoints) -> q.UpdateBatchResponse:
        for operation in request.operations:
            match operation.WhichOneof("operation"):
                case "upsert":
                    self._upsert(operation.upsert)
                case "set_payload":
                    self._set_payload(operation.set_payload)
                case "overwrite_payload":
                    self._overwrite_payload(operation.overwrite_payload)
                case "delete_payload":
                    self._delete_payload(operation.delete_payload)
                case "delete_points":
                    self._delete(operation.delete_points)
                case "clear_payload":
                    self._clear_payload(operation.clear_payload)
                case _:
                    raise InvalidInputError("an operation of the batch is empty")
        return q.UpdateBatchResponse(
            result=[self._result(request.wait) for _ in request.operations]
        )

    def _require(self, ids: Sequence[edge.PointId]) -> None:
        # Edge reports a missing point only after it has changed the others.
        found = {record.id for record in self._shard.retrieve(list(ids), False, False)}
        for one in ids:
            if one not in found:
                raise NotFoundError(f"Not found: No point with id {one} found")

    def _create_index(self, request: q.CreateFieldIndexCollection) -> q.PointsOperationResponse:
        self._apply(
            edge.UpdateOperation.create_field_index(request.field_name, schema.index(request))
        )
        return self._done(request.wait)

    def _delete_index(self, request: q.DeleteFieldIndexCollection) -> q.PointsOperationResponse:
        self._apply(edge.UpdateOperation.delete_field_index(request.field_name))
        return self._done(request.wait)


def _waits(request: Message) -> bool:
    return bool(getattr(request, "wait", True))  # parts of a batch have no `wait` of their own


def _selected(
    selector: q.PointsSelector,
) -> tuple[list[edge.PointId], edge.Filter | None]:
    match selector.WhichOneof("points_selector_one_of"):
        case "points":
            return [convert.point_id(one) for one in selector.points.ids], None
        case "filter":
            return [], convert.query_filter(selector.filter)
        case _:
            raise InvalidInputError("the request selects no points", field="points")
