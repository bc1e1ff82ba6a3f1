"""Queries and answers as our own values, converted to and from Qdrant's models. No connection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from qdrant_client import models

from landmarks.vector_store.filters import EVERYTHING, Filter, to_qdrant
from landmarks.vector_store.marks import ALWAYS_READ, Seen, is_mark, of_photo, only_marks
from landmarks.vector_store.points import FloatVector, check_vector


@dataclass(frozen=True, eq=False)
class Query:
    """A search in one collection, by vector (float32, unit length) or by the id of a point in it.

    A search by id leaves out that point. `score_threshold` is a cosine similarity. `exact` scans
    everything; `hnsw_ef` is how many candidates the index keeps; `oversampling` times `limit` is
    how many are rescored with original vectors if the collection is quantized. `fields` limits the
    part of the payloads that is read, which is most of the cost of long rankings; None is all. The
    points of `without` are no hits.
    """

    target: FloatVector | UUID
    limit: int = 10
    offset: int = 0
    filter: Filter = EVERYTHING
    score_threshold: float | None = None
    exact: bool = False
    hnsw_ef: int | None = None
    oversampling: float | None = None
    with_payload: bool = True
    with_vectors: bool = False
    fields: tuple[str, ...] | None = None
    without: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A point that a search found, and its cosine similarity. `vector`: if requested."""

    id: UUID
    score: float
    payload: Mapping[str, object]
    vector: FloatVector | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class StoredPoint:
    """A photo's point as it is stored; `payload` has no bookkeeping in it."""

    id: UUID
    payload: Mapping[str, object]
    generation: int = 0


@dataclass(frozen=True)
class FacetCount:
    """How many points have this value."""

    value: str | int | bool
    count: int


def query_request(query: Query) -> models.QueryRequest:
    """Return a query for Qdrant."""
    target = str(query.target) if isinstance(query.target, UUID) else query.target.tolist()
    return models.QueryRequest(
        query=target,
        filter=search_filter(query),
        params=search_params(query),
        score_threshold=query.score_threshold,
        limit=query.limit,
        offset=query.offset or None,
        with_payload=list(query.fields)
        if query.with_payload and query.fields is not None
        else query.with_payload,
        with_vector=query.with_vectors,
    )


def search_filter(query: Query) -> models.Filter | None:
    """Return the filter of a query, for Qdrant."""
    chosen = to_qdrant(query.filter)
    if not query.without:
        return chosen
    others = models.HasIdCondition(has_id=point_ids(query.without))
    return models.Filter(must=chosen, must_not=others) if chosen else models.Filter(must_not=others)


def search_params(query: Query) -> models.SearchParams | None:
    """Return the search parameters of a query, for Qdrant; None for its defaults."""
    if not query.exact and query.hnsw_ef is None and query.oversampling is None:
        return None
    quantization = None
    if query.oversampling is not None:
        quantization = models.QuantizationSearchParams(
            oversampling=query.oversampling, rescore=True
        )
    return models.SearchParams(exact=query.exact, hnsw_ef=query.hnsw_ef, quantization=quantization)


def counted(conditions: Filter) -> list[models.Filter | None]:
    """Return the filters to count by: the first count less the others is that of photos' points."""
    chosen = to_qdrant(conditions)
    # A mark has none of the fields that a condition could ask for.
    if not conditions.passes_absent():
        return [chosen]
    marks = only_marks()
    if chosen is not None:
        marks.must = [*(marks.must or []), chosen]
    return [chosen, marks]


def point_struct(
    id_: UUID | int | str, vector: FloatVector, payload: Mapping[str, object]
) -> models.PointStruct:
    """Return a point for Qdrant; every vector that is stored passes here.

    Raises InvalidInputError, which names the point, as `check_vector`.
    """
    check_vector(vector, f"the vector of point {id_}")
    return models.PointStruct(
        id=id_ if isinstance(id_, int) else str(id_), vector=vector.tolist(), payload=dict(payload)
    )


def point_ids(ids: Sequence[UUID]) -> list[str | int | UUID]:
    """Return ids for Qdrant."""
    return [str(one) for one in ids]


def hits(response: models.QueryResponse) -> list[Hit]:
    """Read the answer to a query, best first."""
    return [
        Hit(uuid_of(one.id), one.score, of_photo(one.payload or {}), vector_of(one.vector))
        for one in response.points
    ]


def vector_of(stored: object) -> FloatVector | None:
    """Read a stored vector; None if it was not requested, or there is none."""
    # A point without one comes as a mapping of names to vectors that is empty.
    if stored is None or isinstance(stored, Mapping):
        return None
    return np.asarray(stored, dtype=np.float32)


def vectors(records: Sequence[models.Record]) -> dict[UUID, FloatVector]:
    """Read the vectors of retrieved points."""
    found = {uuid_of(one.id): vector_of(one.vector) for one in records}
    return {id_: vector for id_, vector in found.items() if vector is not None}


def stored_points(records: Sequence[models.Record]) -> list[StoredPoint]:
    """Read retrieved points that are photos; their payload was requested."""
    return [
        StoredPoint(uuid_of(one.id), of_photo(payload), Seen.of(payload).generation)
        for one in records
        if not is_mark(payload := one.payload or {})
    ]


def read_fields(fields: Sequence[str] | None) -> list[str] | None:
    """Return which fields to ask Qdrant for, so that `stored_points` can read them; None is all."""
    return None if fields is None else [*fields, *ALWAYS_READ]


def facet_counts(response: models.FacetResponse) -> list[FacetCount]:
    """Read the answer to a facet request."""
    return [FacetCount(one.value, one.count) for one in response.hits]


def uuid_of(value: str | int | UUID) -> UUID:
    """Return a point's id as a UUID; a number, which this program never stores, becomes one."""
    if isinstance(value, UUID):
        return value
    return UUID(int=value) if isinstance(value, int) else UUID(value)


def whole_seconds(timeout_seconds: float | None) -> int | None:
    """Return a time limit as Qdrant takes it."""
    return None if timeout_seconds is None else max(1, math.ceil(timeout_seconds))
