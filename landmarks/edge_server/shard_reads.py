"""The reads of the Points service, carried out by Edge."""

from __future__ import annotations

from typing import cast

import qdrant_edge as edge
from qdrant_client import grpc as q

from landmarks.edge_server import conversions as convert
from landmarks.edge_server.shard_handlers import Handlers
from landmarks.errors import InvalidInputError, NotFoundError, UnsupportedError

_DEFAULT_LIMIT = 10
_MAX_PAGE = 100_000


class ShardReads:
    """Searches, counts and returns the points of one shard."""

    def __init__(self, shard: edge.EdgeShard, dimension: int) -> None:
        self._shard = shard
        self._dimension = dimension

    def handlers(self) -> Handlers:
        """Return what carries out each method, by its name."""
        return {
            "Get": (q.GetPoints, self._get),
            "Scroll": (q.ScrollPoints, self._scroll),
            "Count": (q.CountPoints, self._count),
            "Facet": (q.FacetCounts, self._facet),
            "Query": (q.QueryPoints, self._query),
            "QueryBatch": (q.QueryBatchPoints, self._query_batch),
        }

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
            convert.fill_point_id(answer.next_page_offset, following)
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
            if not found or not found[0].vector:
                raise NotFoundError(f"Not found: No point with id {one} and a vector found")
            numbers = _plain(found[0].vector)
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
    convert.fill_point_id(target.id, hit.id)
    target.score = hit.score
    target.version = hit.version
    convert.fill_payload(target.payload, hit.payload)
    if hit.vector:
        target.vectors.vector.dense.data.extend(_plain(hit.vector))


def _fill_record(target: q.RetrievedPoint, record: edge.Record) -> None:
    convert.fill_point_id(target.id, record.id)
    convert.fill_payload(target.payload, record.payload)
    if record.vector:  # some points have none
        target.vectors.vector.dense.data.extend(_plain(record.vector))


def _plain(vector: edge.Vector) -> list[float]:
    # Nothing else is accepted, so nothing else is stored.
    return cast("list[float]", vector)
