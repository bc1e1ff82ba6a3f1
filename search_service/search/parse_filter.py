"""Parses a request's filter into the vector store's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.vector_store.filters import (
    AnyOf,
    Condition,
    Empty,
    Equals,
    Filter,
    Range,
    TimeRange,
    Words,
)
from landmarks.vector_store.geo_filters import Inside, Near

MAX_CONDITIONS = 100
MAX_DEPTH = 8
MAX_VALUES = 10_000


def parse_filter(message: pb.Filter) -> Filter:
    """Return the filter; raises InvalidInputError that names the invalid condition."""
    count, depth = _size(message)
    if count > MAX_CONDITIONS:
        raise InvalidInputError(
            f"the filter has {count} conditions; at most {MAX_CONDITIONS} are allowed",
            field="filter",
        )
    if depth > MAX_DEPTH:
        raise InvalidInputError(
            f"{depth} filters are inside one another; at most {MAX_DEPTH} are allowed",
            field="filter",
        )
    return _filter(message, "filter")


def value_message(value: str | int | bool) -> pb.FieldValue:
    """Return a payload field's value as a message."""
    if isinstance(value, bool):
        return pb.FieldValue(boolean=value)
    return pb.FieldValue(integer=value) if isinstance(value, int) else pb.FieldValue(text=value)


def _size(message: pb.Filter) -> tuple[int, int]:
    """Return how many conditions a filter has, and how deep its filters are."""
    count, depth = 0, 0
    for one in (*message.must, *message.must_not, *message.should):
        count += 1
        if one.WhichOneof("test") == "filter":
            inside, below = _size(one.filter)
            count, depth = count + inside, max(depth, below + 1)
    return count, depth


def _filter(message: pb.Filter, where: str) -> Filter:
    return Filter(
        must=_conditions(message.must, f"{where}.must"),
        must_not=_conditions(message.must_not, f"{where}.must_not"),
        should=_conditions(message.should, f"{where}.should"),
    )


def _conditions(message: Sequence[pb.Condition], where: str) -> tuple[Condition, ...]:
    return tuple(_condition(one, f"{where}[{index}]") for index, one in enumerate(message))


def _condition(message: pb.Condition, where: str) -> Condition:
    key = message.field
    if message.WhichOneof("test") == "filter":
        return _nested(key, message.filter, where)
    if not key or set('"[].').intersection(key) or not key.isprintable():
        raise InvalidInputError(
            f"{key!r} is not a valid payload field name, such as 'landmark'",
            field=f"{where}.field",
        )
    match message.WhichOneof("test"):
        case "equals":
            return Equals(key, _value(message.equals, f"{where}.equals"))
        case "any_of":
            return _any_of(key, message.any_of, f"{where}.any_of")
        case "range":
            return _range(key, message.range, f"{where}.range")
        case "words" if message.words.strip():
            return Words(key, message.words)
        case "words":
            raise InvalidInputError(
                f"the condition on {key!r} has no words", field=f"{where}.words"
            )
        case "time_range":
            return _time_range(key, message.time_range, f"{where}.time_range")
        case "near":
            center = message.near.center
            return Near(key, center.latitude, center.longitude, message.near.radius_meters)
        case "inside":
            box = message.inside
            return Inside(key, box.south, box.west, box.north, box.east)
        case "empty":
            return Empty(key) if message.empty else Filter(must_not=(Empty(key),))
        case _:
            raise InvalidInputError(
                f"the condition on {key!r} has no test: set equals, any_of, range, words,"
                " time_range, near, inside or empty",
                field=where,
            )


def _nested(key: str, message: pb.Filter, where: str) -> Filter:
    found = _filter(message, f"{where}.filter")
    if key or not found:
        wrong = f"it has a field, {key!r}, of its own" if key else "it has no condition"
        raise InvalidInputError(
            f"a filter inside the filter cannot be used: {wrong}", field=f"{where}.filter"
        )
    return found


def _time_range(key: str, message: pb.TimeRange, where: str) -> TimeRange:
    bounds: dict[str, datetime] = {}
    for name in ("gt", "gte", "lt", "lte"):
        if message.HasField(name):
            try:
                bounds[name] = getattr(message, name).ToDatetime(tzinfo=UTC)
            except (ValueError, OverflowError) as error:
                raise InvalidInputError(
                    f"a bound of {key!r} is not a time: {error}", field=f"{where}.{name}"
                ) from error
    if not bounds:
        raise InvalidInputError(
            f"the range of {key!r} has no bound: set gt, gte, lt or lte", field=where
        )
    return TimeRange(key, **bounds)


def _value(message: pb.FieldValue, where: str) -> str | int | float | bool:
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "integer":
            return message.integer
        case "boolean":
            return message.boolean
        case "number":
            if math.isnan(message.number):
                raise InvalidInputError("the number is NaN", field=where)
            return message.number
        case _:
            raise InvalidInputError(
                "the value is missing: set text, integer, boolean or number", field=where
            )


def _any_of(key: str, message: pb.FieldValues, where: str) -> Condition:
    if not 1 <= len(message.values) <= MAX_VALUES:
        raise InvalidInputError(
            f"{len(message.values)} values given for {key!r}; 1 to {MAX_VALUES} are allowed",
            field=where,
        )
    values = [_value(one, f"{where}.values[{index}]") for index, one in enumerate(message.values)]
    texts = tuple(value for value in values if isinstance(value, str))
    if len(texts) == len(values):
        return AnyOf(key, texts)
    booleans = {value for value in values if isinstance(value, bool)}
    if not booleans:
        numbers = tuple(value for value in values if isinstance(value, int))
        if len(numbers) == len(values):
            return AnyOf(key, numbers)
        if not texts and len(values) <= MAX_CONDITIONS:
            return AnyOf(key, tuple(float(value) for value in values))
    elif len(booleans) == 1 and all(isinstance(value, bool) for value in values):
        return Equals(key, booleans.pop())
    raise InvalidInputError(
        f"the values for {key!r} must be all texts, all integers, all the same boolean, or"
        f" at most {MAX_CONDITIONS} numbers",
        field=where,
    )


def _range(key: str, message: pb.NumberRange, where: str) -> Range:
    bounds = {
        name: bound
        for name, bound in (
            ("gt", message.gt if message.HasField("gt") else None),
            ("gte", message.gte if message.HasField("gte") else None),
            ("lt", message.lt if message.HasField("lt") else None),
            ("lte", message.lte if message.HasField("lte") else None),
        )
        if bound is not None
    }
    if not bounds:
        raise InvalidInputError(
            f"the range of {key!r} has no bound: set gt, gte, lt or lte", field=where
        )
    for name, bound in bounds.items():
        if math.isnan(bound):
            raise InvalidInputError(f"a bound of {key!r} is NaN", field=f"{where}.{name}")
    return Range(key, **bounds)
