"""Qdrant's messages to Edge's values, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import TypeAlias, cast
from uuid import UUID

import qdrant_edge as edge
from google.protobuf.timestamp_pb2 import Timestamp
from qdrant_client import grpc as q

from landmarks.errors import InvalidInputError

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
PointId: TypeAlias = int | UUID


def point_id(message: q.PointId) -> PointId:
    """Read a point's id; raises InvalidInputError if it is neither a number nor a UUID."""
    kind = message.WhichOneof("point_id_options")
    if kind == "num":
        return message.num
    if kind == "uuid":
        try:
            return UUID(message.uuid)
        except ValueError as error:
            raise InvalidInputError(f"Unable to parse UUID: {message.uuid}", field="id") from error
    raise InvalidInputError("a point has no id", field="id")


def fill_point_id(target: q.PointId, value: int | UUID | str) -> None:
    """Write a point's id into a message."""
    if isinstance(value, int):
        target.num = value
    else:
        target.uuid = str(value)


def vector(data: Sequence[float], dimension: int, what: str) -> list[float]:
    """Return the numbers of a vector, checked for values that Edge accepts silently.

    `what` names the vector in messages. Raises InvalidInputError for a wrong length, for NaN and
    infinity, and for a vector of zeros, which has no direction.
    """
    numbers = list(data)
    if len(numbers) != dimension:
        raise InvalidInputError(
            f"Wrong input: Vector dimension error: expected dim: {dimension},"
            f" got {len(numbers)} ({what})",
            field="vector",
        )
    if not math.isfinite(sum(numbers)):  # float32 cannot overflow a sum of doubles
        raise InvalidInputError(f"Wrong input: {what} has NaN or infinity in it", field="vector")
    if not any(numbers):
        raise InvalidInputError(
            f"Wrong input: {what} is all zeros, which has no direction", field="vector"
        )
    return numbers


def payload(values: Mapping[str, q.Value]) -> dict[str, Json]:
    """Read a payload."""
    return {name: _json(value) for name, value in values.items()}


def _json(value: q.Value) -> Json:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "integer_value":
        return value.integer_value
    if kind == "double_value":
        return value.double_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_json(one) for one in value.list_value.values]
    if kind == "struct_value":
        return payload(value.struct_value.fields)
    return None


def fill_payload(target: MutableMapping[str, q.Value], values: Mapping[str, Json] | None) -> None:
    """Write a payload into a message's map."""
    for name, value in (values or {}).items():
        if isinstance(value, str):  # as most are
            target[name].string_value = value
        else:
            _fill(target[name], value)


def _fill(target: q.Value, value: Json) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.integer_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif value is None:
        target.null_value = q.NULL_VALUE
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for one in value:
            _fill(target.list_value.values.add(), one)
    else:
        target.struct_value.SetInParent()
        fill_payload(target.struct_value.fields, value)


def with_payload(selector: q.WithPayloadSelector) -> bool | edge.PayloadSelector:
    """Read which part of the payload is requested."""
    kind = selector.WhichOneof("selector_options")
    if kind == "include":
        return edge.PayloadSelector.Include(list(selector.include.fields))
    if kind == "exclude":
        return edge.PayloadSelector.Exclude(list(selector.exclude.fields))
    return selector.enable


def search_params(message: q.SearchParams) -> edge.SearchParams:
    """Read search parameters."""
    quantization = None
    if message.HasField("quantization"):
        given = message.quantization
        quantization = edge.QuantizationSearchParams(
            ignore=given.ignore,
            rescore=given.rescore if given.HasField("rescore") else None,
            oversampling=given.oversampling if given.HasField("oversampling") else None,
        )
    return edge.SearchParams(
        hnsw_ef=message.hnsw_ef if message.HasField("hnsw_ef") else None,
        exact=message.exact,
        quantization=quantization,
        indexed_only=message.indexed_only,
    )


def query_filter(message: q.Filter) -> edge.Filter:
    """Read a filter."""
    min_should = None
    if message.HasField("min_should"):
        min_should = edge.MinShould(
            _conditions(message.min_should.conditions) or [], message.min_should.min_count
        )
    return edge.Filter(
        must=_conditions(message.must),
        should=_conditions(message.should),
        must_not=_conditions(message.must_not),
        min_should=min_should,
    )


def _conditions(messages: Iterable[q.Condition]) -> list[edge.ConditionType] | None:
    return [_condition(message) for message in messages] or None


def _condition(message: q.Condition) -> edge.ConditionType:
    match message.WhichOneof("condition_one_of"):
        case "field":
            return _field_condition(message.field)
        case "has_id":
            return edge.HasIdCondition({point_id(one) for one in message.has_id.has_id})
        case "filter":
            return query_filter(message.filter)
        case "is_empty":
            return edge.IsEmptyCondition(message.is_empty.key)
        case "is_null":
            return edge.IsNullCondition(message.is_null.key)
        case "has_vector":
            return edge.HasVectorCondition(message.has_vector.has_vector)
        case "nested":
            return edge.NestedCondition(message.nested.key, query_filter(message.nested.filter))
        case _:
            raise InvalidInputError("a condition of the filter is empty", field="filter")


def _field_condition(message: q.FieldCondition) -> edge.FieldCondition:
    match_, range_ = None, None
    if message.HasField("match"):
        match_ = _match(message.match)
    if message.HasField("range"):
        given = message.range
        range_ = edge.RangeFloat(
            gte=given.gte if given.HasField("gte") else None,
            gt=given.gt if given.HasField("gt") else None,
            lte=given.lte if given.HasField("lte") else None,
            lt=given.lt if given.HasField("lt") else None,
        )
    if message.HasField("datetime_range"):
        if range_ is not None:
            raise InvalidInputError("a condition has two ranges", field="filter")
        times = message.datetime_range
        return edge.FieldCondition(
            message.key,
            match=match_,
            range=edge.RangeDateTime(
                gte=_time(times.gte) if times.HasField("gte") else None,
                gt=_time(times.gt) if times.HasField("gt") else None,
                lte=_time(times.lte) if times.HasField("lte") else None,
                lt=_time(times.lt) if times.HasField("lt") else None,
            ),
        )
    return edge.FieldCondition(
        message.key,
        match=match_,
        range=range_,
        geo_bounding_box=_box(message.geo_bounding_box)
        if message.HasField("geo_bounding_box")
        else None,
        geo_radius=_circle(message.geo_radius) if message.HasField("geo_radius") else None,
        is_empty=message.is_empty if message.HasField("is_empty") else None,
        is_null=message.is_null if message.HasField("is_null") else None,
    )


def _box(message: q.GeoBoundingBox) -> edge.GeoBoundingBox:
    return edge.GeoBoundingBox(_place(message.top_left), _place(message.bottom_right))


def _circle(message: q.GeoRadius) -> edge.GeoRadius:
    return edge.GeoRadius(_place(message.center), message.radius)


def _place(message: q.GeoPoint) -> edge.GeoPoint:
    return edge.GeoPoint(message.lon, message.lat)


def _time(message: Timestamp) -> str:
    return message.ToJsonString()


def _match(message: q.Match) -> edge.MatchType:
    match message.WhichOneof("match_value"):
        case "keyword":
            return edge.MatchValue(message.keyword)
        case "integer":
            return edge.MatchValue(message.integer)
        case "boolean":
            # Edge reads Python's booleans as the numbers 0 and 1, and numpy's as booleans. It takes
            # 20 MB, so only a process that needs it imports it.
            import numpy as np

            return edge.MatchValue(cast("bool", np.bool_(message.boolean)))
        case "text":
            return edge.MatchText(message.text)
        case "keywords":
            return edge.MatchAny(list(message.keywords.strings))
        case "integers":
            return edge.MatchAny(list(message.integers.integers))
        case "except_keywords":
            return edge.MatchExcept(list(message.except_keywords.strings))
        case "except_integers":
            return edge.MatchExcept(list(message.except_integers.integers))
        case _:
            raise InvalidInputError("a match of the filter is empty", field="filter")
