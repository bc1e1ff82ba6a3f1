"""A collection's shard: Qdrant's requests, carried out by Edge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import qdrant_edge as edge
from google.protobuf.message import Message
from qdrant_client import grpc as q

from landmarks.edge_server import conversions as convert
from landmarks.edge_server import schema
from landmarks.edge_server.supported_fields import refuse_unsupported
from landmarks.errors import InvalidInputError, LandmarksError, NotFoundError, UnsupportedError

_UPDATE_MODES = {
    q.UpdateMode.Upsert: edge.UpdateMode.Upsert,
    q.UpdateMode.InsertOnly: edge.UpdateMode.InsertOnly,
    q.UpdateMode.UpdateOnly: edge.UpdateMode.UpdateOnly,
}
_DEFAULT_LIMIT = 10
_MAX_PAGE = 100_000


class Shard:
    """Carries out the requests of the Points service on one shard. Not for several threads."""

    def __init__(self, shard: edge.EdgeShard, dimension: int) -> None:
        self._shard = shard
        self._dimension = dimension
        self._operations = 0
        self.unflushed = False
        """Whether there are writes that only the write-ahead log holds."""
        self._handlers: Mapping[str, tuple[type[Message], Callable[..., Message]]] = {
            "Upsert": (q.UpsertPoints, self._upsert),
            "Delete": (q.DeletePoints, self._delete),
            "SetPayload": (q.SetPayloadPoints, self._set_payload),
            "OverwritePayload": (q.SetPayloadPoints, self._overwrite_payload),
            "DeletePayload": (q.DeletePayloadPoints, self._delete_payload),
            "ClearPayload": (q.ClearPayloadPoints, self._clear_payload),
            "UpdateBatch": (q.UpdateBatchPoints, self._update_batch),
            "CreateFieldIndex": (q.CreateFieldIndexCollection, self._create_index),
            "DeleteFieldIndex": (q.DeleteFieldIndexCollection, self._delete_index),
            "Get": (q.GetPoints, self._get),
            "Scroll": (q.ScrollPoints, self._scroll),
            "Count": (q.CountPoints, self._count),
            "Facet": (q.FacetCounts, self._facet),
            "Query": (q.QueryPoints, self._query),
            "QueryBatch": (q.QueryBatchPoints, self._query_batch),
        }

    @classmethod
    def create(cls, path: Path, config: q.CreateCollection) -> Shard:
        """Create a shard in an empty folder."""
        with _edge_failures():
            shard = edge.EdgeShard.create(str(path), schema.edge_config(config))
        return cls(shard, schema.dimension(config))

    @classmethod
    def load(cls, path: Path, config: q.CreateCollection) -> Shard:
        """Open a shard that nobody else has open, and replay its write-ahead log."""
        with _edge_failures():
            shard = edge.EdgeShard.load(str(path), schema.edge_config(config))
        return cls(shard, schema.dimension(config))

    def handle(self, method: str, request: bytes) -> bytes:
        """Carry out one request of the Points service and return the answer's bytes.

        Raises UnsupportedError for a field that is not honoured, InvalidInputError and
        NotFoundError as Qdrant has them.
        """
        started = time.perf_counter()
        kind, handler = self._handlers[method]
        message = kind.FromString(request)
        refuse_unsupported(message)
        with _edge_failures():
            answer = handler(message)
        if "time" in answer.DESCRIPTOR.fields_by_name:
            setattr(answer, "time", time.perf_counter() - started)  # noqa: B010 - of any answer
        return answer.SerializeToString()

    def info(self) -> q.CollectionInfo:
        """Return what the shard knows of its collection: counts, segments and payload indexes."""
        with _edge_failures():
            info = self._shard.info()
        answer = q.CollectionInfo(
            segments_count=info.segments_count,
            points_count=info.points_count,
            indexed_vectors_count=info.indexed_vectors_count,
        )
        for name, index in info.payload_schema.items():
            answer.payload_schema[name].CopyFrom(schema.index_info(index))
        return answer

    def flush(self) -> None:
        """Write everything to the segments, so that the write-ahead log need not be replayed."""
        with _edge_failures():
            self._shard.flush()
        self.unflushed = False

    def optimize(self) -> None:
        """Build what indexes are due. Takes a second per two thousand vectors and holds the GIL."""
        with _edge_failures():
            self._shard.optimize()

    def close(self) -> None:
        """Flush, and let go of the files."""
        self.flush()
        with _edge_failures():
            self._shard.close()

    # Writes

    def _apply(self, operation: edge.UpdateOperation) -> None:
        self.unflushed = True
        self._operations += 1
        self._shard.update(operation)

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
            self._apply(
                edge.UpdateOperation.upsert_points(
                    points, condition, _UPDATE_MODES[request.update_mode]
                )
            )
        return self._done(_waits(request))

    def _point(self, point: q.PointStruct) -> edge.Point:
        one = convert.point_id(point.id)
        given = point.vectors.vector
        data = given.dense.data if given.HasField("dense") else given.data
        numbers = convert.vector(data, self._dimension, f"the vector of point {one}")
        return edge.Point(one, numbers, convert.payload(point.payload))

    def _delete(
        self, request: q.DeletePoints | q.PointsUpdateOperation.DeletePoints
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points)
        if chosen is not None:
            self._apply(edge.UpdateOperation.delete_points_by_filter(chosen))
        elif ids:
            self._apply(edge.UpdateOperation.delete_points(ids))
        return self._done(_waits(request))

    def _set_payload(
        self, request: q.SetPayloadPoints | q.PointsUpdateOperation.SetPayload
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points_selector)
        values = convert.payload(request.payload)
        if chosen is not None:
            self._apply(edge.UpdateOperation.set_payload_by_filter(chosen, values))
        elif ids:
            self._known(ids)
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
            self._known(ids)
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
            self._known(ids)
            self._apply(edge.UpdateOperation.delete_payload(ids, keys))
        return self._done(_waits(request))

    def _clear_payload(
        self, request: q.ClearPayloadPoints | q.PointsUpdateOperation.ClearPayload
    ) -> q.PointsOperationResponse:
        ids, chosen = _selected(request.points)
        if chosen is not None:
            self._apply(edge.UpdateOperation.clear_payload_by_filter(chosen))
        elif ids:
            self._known(ids)
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

    def _known(self, ids: Sequence[edge.PointId]) -> None:
        # Edge tells of a missing point only after it has changed the others.
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

    # Reads

    def _get(self, request: q.GetPoints) -> q.GetResponse:
        ids = [convert.point_id(one) for one in request.ids]
        answer = q.GetResponse()
        for record in self._retrieve(ids, request.with_payload, request.with_vectors.enable):
            _fill_record(answer.result.add(), record)
        return answer

    def _retrieve(
        self, ids: list[convert.PointId], payload: q.WithPayloadSelector, vectors: bool
    ) -> list[edge.Record]:
        return self._shard.retrieve(list(ids), convert.with_payload(payload), vectors)

    def _scroll(self, request: q.ScrollPoints) -> q.ScrollResponse:
        records, following = self._shard.scroll(
            edge.ScrollRequest(
                offset=convert.point_id(request.offset) if request.HasField("offset") else None,
                limit=_limit(request.limit, request.HasField("limit")),
                filter=_filter(request),
                with_payload=convert.with_payload(request.with_payload),
                with_vector=request.with_vectors.enable,
            )
        )
        answer = q.ScrollResponse()
        for record in records:
            _fill_record(answer.result.add(), record)
        if following is not None:
            answer.next_page_offset.CopyFrom(convert.point_id_message(following))
        return answer

    def _count(self, request: q.CountPoints) -> q.CountResponse:
        exact = request.exact if request.HasField("exact") else True
        count = self._shard.count(edge.CountRequest(exact=exact, filter=_filter(request)))
        return q.CountResponse(result=q.CountResult(count=count))

    def _facet(self, request: q.FacetCounts) -> q.FacetResponse:
        found = self._shard.facet(
            edge.FacetRequest(
                request.key,
                limit=_limit(request.limit, request.HasField("limit")),
                exact=request.exact,
                filter=_filter(request),
            )
        )
        answer = q.FacetResponse()
        for hit in found.hits:
            value = q.FacetValue()
            if isinstance(hit.value, str):
                value.string_value = hit.value
            elif isinstance(hit.value, bool):
                value.bool_value = hit.value
            else:
                value.integer_value = hit.value
            answer.hits.add(value=value, count=hit.count)
        return answer

    def _query(self, request: q.QueryPoints) -> q.QueryResponse:
        answer = q.QueryResponse()
        for hit in self._shard.query(self._query_request(request)):
            _fill_hit(answer.result.add(), hit)
        return answer

    def _query_batch(self, request: q.QueryBatchPoints) -> q.QueryBatchResponse:
        for query in request.query_points:
            if query.collection_name not in ("", request.collection_name):
                raise InvalidInputError("a query of the batch is for another collection")
        queries = [self._query_request(query) for query in request.query_points]
        answer = q.QueryBatchResponse()
        if not queries:
            return answer
        for found in self._shard.query_batch(edge.QueryBatchRequest(queries)):
            batch = answer.result.add()
            for hit in found:
                _fill_hit(batch.result.add(), hit)
        return answer

    def _query_request(self, request: q.QueryPoints) -> edge.QueryRequest:
        if not request.HasField("query"):
            raise UnsupportedError("QueryPoints without query is not supported; use Scroll")
        conditions = _filter(request)
        nearest = request.query.nearest
        if nearest.HasField("id"):
            one = convert.point_id(nearest.id)
            found = self._shard.retrieve([one], False, True)
            if not found:
                raise NotFoundError(f"Not found: No point with id {one} found")
            numbers = _plain(found[0].vector or [])
            itself = edge.Filter(must_not=[edge.HasIdCondition({one})])
            conditions = edge.Filter(must=[itself, *([conditions] if conditions else [])])
        elif nearest.HasField("dense"):
            numbers = convert.vector(nearest.dense.data, self._dimension, "the query vector")
        else:
            raise InvalidInputError("the query has neither a vector nor an id", field="query")
        return edge.QueryRequest(
            limit=_limit(request.limit, request.HasField("limit")),
            offset=request.offset,
            query=edge.Query.Nearest(numbers),
            with_vector=request.with_vectors.enable,
            with_payload=convert.with_payload(request.with_payload),
            filter=conditions,
            score_threshold=request.score_threshold
            if request.HasField("score_threshold")
            else None,
            params=convert.search_params(request.params) if request.HasField("params") else None,
        )


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


def _filter(
    request: q.ScrollPoints | q.CountPoints | q.FacetCounts | q.QueryPoints,
) -> edge.Filter | None:
    return convert.query_filter(request.filter) if request.HasField("filter") else None


def _limit(given: int, is_set: bool) -> int:
    if not is_set:
        return _DEFAULT_LIMIT
    if not 1 <= given <= _MAX_PAGE:
        raise InvalidInputError(
            f"the limit {given} is not between 1 and {_MAX_PAGE}", field="limit"
        )
    return given


def _fill_hit(target: q.ScoredPoint, hit: edge.ScoredPoint) -> None:
    target.id.CopyFrom(convert.point_id_message(hit.id))
    target.score = hit.score
    target.version = hit.version
    convert.fill_payload(target.payload, hit.payload)
    if hit.vector is not None:
        target.vectors.vector.dense.data.extend(_plain(hit.vector))


def _fill_record(target: q.RetrievedPoint, record: edge.Record) -> None:
    target.id.CopyFrom(convert.point_id_message(record.id))
    convert.fill_payload(target.payload, record.payload)
    if record.vector is not None:
        target.vectors.vector.dense.data.extend(_plain(record.vector))


def _plain(vector: edge.Vector) -> list[float]:
    # Nothing else is let in, so nothing else comes out.
    return cast("list[float]", vector)


@contextmanager
def _edge_failures() -> Iterator[None]:
    """Tell Edge's complaints about a request from its failures.

    Edge raises plain exceptions; only their text tells them apart.
    """
    try:
        yield
    except LandmarksError:
        raise
    except Exception as error:
        text = str(error)
        if text.startswith("No point with id"):
            raise NotFoundError(f"Not found: {text} found") from error
        complaint = text.startswith(_COMPLAINTS) or isinstance(error, (ValueError, TypeError))
        if complaint:
            raise InvalidInputError(f"Wrong input: {text}") from error
        raise


_COMPLAINTS = ("Vector dimension error", "No appropriate index for faceting")
