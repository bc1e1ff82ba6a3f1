"""Queries and hits as Qdrant's own messages.

Converting to the client's own values costs about as much as the query itself: the payloads of
thirty hits become Python values, and ten are shown. Here a field is converted when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from qdrant_client import grpc as q
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc, value_to_json

from landmarks.vector_store.marks import BOOKKEEPING
from landmarks.vector_store.points import FloatVector
from landmarks.vector_store.queries import (
    Hit,
    Query,
    search_filter,
    search_params,
    uuid_of,
    vector_of,
)


class StoredPayload(Mapping[str, object]):
    """A photo's payload as received; a value is converted when it is read."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, q.Value]) -> None:
        self._fields = fields

    def __getitem__(self, key: str) -> object:
        # Looking up a missing key in the message would add it.
        if key not in self:
            raise KeyError(key)
        return value_to_json(self._fields[key])

    def __contains__(self, key: object) -> bool:
        return key in self._fields and key not in BOOKKEEPING

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._fields if key not in BOOKKEEPING)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)})"


def query_message(collection: str, query: Query) -> q.QueryPoints:
    """Return one query of a collection."""
    conditions, parameters = search_filter(query), search_params(query)
    message = q.QueryPoints(
        collection_name=collection,
        query=q.Query(nearest=_target(query.target)),
        limit=query.limit,
        with_payload=_payload_selector(query),
        with_vectors=q.WithVectorsSelector(enable=query.with_vectors),
    )
    if query.offset:
        message.offset = query.offset
    if query.score_threshold is not None:
        message.score_threshold = query.score_threshold
    if conditions is not None:
        message.filter.CopyFrom(RestToGrpc.convert_filter(conditions))
    if parameters is not None:
        message.params.CopyFrom(RestToGrpc.convert_search_params(parameters))
    return message


def hits_of(found: Sequence[q.ScoredPoint]) -> list[Hit]:
    """Read the hits of one query, best first."""
    return [
        Hit(
            uuid_of(one.id.uuid or one.id.num),
            one.score,
            StoredPayload(one.payload),
            vector_of(GrpcToRest.convert_vectors_output(one.vectors))
            if one.HasField("vectors")
            else None,
        )
        for one in found
    ]


def _target(target: UUID | FloatVector) -> q.VectorInput:
    if isinstance(target, UUID):
        return q.VectorInput(id=q.PointId(uuid=str(target)))
    return q.VectorInput(dense=q.DenseVector(data=target.tolist()))


def _payload_selector(query: Query) -> q.WithPayloadSelector:
    if not query.with_payload or query.fields is None:
        return q.WithPayloadSelector(enable=query.with_payload)
    return q.WithPayloadSelector(include=q.PayloadIncludeSelector(fields=query.fields))
