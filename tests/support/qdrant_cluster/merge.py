"""Answers of shards as one answer, and answers of copies as what they agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from qdrant_client import grpc as q


def id_key(point: q.PointId) -> tuple[bool, int]:
    """Return what ids are sorted by: numbers come before UUIDs."""
    return (True, UUID(point.uuid).int) if point.uuid else (False, point.num)


def numbers(vectors: Any) -> list[float]:
    """Return the numbers of a point's only vector."""
    one = vectors.vector
    return list(one.dense.data if one.HasField("dense") else one.data)


def scrolled(answers: Sequence[q.ScrollResponse], limit: int) -> q.ScrollResponse:
    """Return a page of the points of all shards, in the order of ids."""
    points = {id_key(one.id): one for answer in answers for one in answer.result}
    page = [points[key] for key in sorted(points)]
    merged = q.ScrollResponse(result=page[:limit])
    if len(page) > limit:
        merged.next_page_offset.CopyFrom(page[limit].id)
    return merged


def counted(answers: Sequence[q.CountResponse]) -> q.CountResponse:
    """Return how many points there are in all shards."""
    return q.CountResponse(result=q.CountResult(count=sum(one.result.count for one in answers)))


def facets(answers: Sequence[q.FacetResponse], limit: int) -> q.FacetResponse:
    """Return the most frequent values in all shards."""
    counts: dict[bytes, int] = {}
    for answer in answers:
        for hit in answer.hits:
            key = hit.value.SerializeToString(deterministic=True)
            counts[key] = counts.get(key, 0) + hit.count
    most = sorted(counts, key=lambda key: (-counts[key], key))[:limit]
    merged = q.FacetResponse()
    for key in most:
        merged.hits.add(value=q.FacetValue.FromString(key), count=counts[key])
    return merged


def best(
    answers: Sequence[Sequence[q.ScoredPoint]], offset: int, limit: int
) -> list[q.ScoredPoint]:
    """Return the hits of all shards with the highest scores."""
    hits = {id_key(hit.id): hit for hits in answers for hit in hits}
    ranked = sorted(hits.values(), key=lambda hit: -hit.score)
    return ranked[offset : offset + limit]


def infos(
    found: Sequence[q.CollectionInfo], config: q.CreateCollection
) -> q.GetCollectionInfoResponse:
    """Return what is known of a whole collection."""
    merged = q.CollectionInfo()
    merged.CopyFrom(found[0])
    for one in found[1:]:
        merged.points_count += one.points_count
        merged.indexed_vectors_count += one.indexed_vectors_count
        merged.segments_count += one.segments_count
        merged.status = max(merged.status, one.status)
        if one.optimizer_status.error:
            merged.optimizer_status.CopyFrom(one.optimizer_status)
        for field, schema in one.payload_schema.items():
            points = merged.payload_schema[field].points
            merged.payload_schema[field].CopyFrom(schema)
            merged.payload_schema[field].points = points + schema.points
    parameters = merged.config.params
    parameters.shard_number = len(found)
    parameters.replication_factor = config.replication_factor or 1
    parameters.write_consistency_factor = config.write_consistency_factor or 1
    for key, value in config.metadata.items():
        merged.config.metadata[key].CopyFrom(value)
    return q.GetCollectionInfoResponse(result=merged)


def agreed(answers: Sequence[Any], *, majority: bool) -> Any:
    """Return what all copies of a shard answer alike, or more than half of them."""
    needed = len(answers) // 2 + 1 if majority else len(answers)
    first = answers[0]
    if isinstance(first, q.CountResponse):
        counts = sorted(one.result.count for one in answers)
        count = counts[len(counts) // 2] if majority else counts[0]
        return q.CountResponse(result=q.CountResult(count=count))
    if isinstance(first, q.QueryBatchResponse):
        merged = q.QueryBatchResponse()
        for number in range(len(first.result)):
            same = _alike([one.result[number].result for one in answers], needed)
            merged.result.add(result=same)
        return merged
    field = "hits" if isinstance(first, q.FacetResponse) else "result"
    kept = type(first)()
    kept.CopyFrom(first)
    kept.ClearField(field)
    getattr(kept, field).extend(_alike([getattr(one, field) for one in answers], needed))
    return kept


def _alike(answers: Sequence[Sequence[Any]], needed: int) -> list[Any]:
    """Return the parts that so many answers have, in the order of the answers."""
    count: dict[bytes, int] = {}
    parts: dict[bytes, Any] = {}
    for answer in answers:
        for part in answer:
            key = part.SerializeToString(deterministic=True)
            count[key] = count.get(key, 0) + 1
            parts[key] = part
    return [part for key, part in parts.items() if count[key] >= needed]
