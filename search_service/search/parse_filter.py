"""Parses a request's filter into the vector store's."""

from __future__ import annotations

import math
from collections.abc import Sequence

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.vector_store.filters import AnyOf, Condition, Equals, Filter, Range, Words

MAX_CONDITIONS = 100
MAX_VALUES = 10_000


def parse_filter(message: pb.Filter) -> Filter:
    """Return the filter; raises InvalidInputError that names the invalid condition."""
    if len(message.must) + len(message.must_not) > MAX_CONDITIONS:
        raise InvalidInputError(
            f"the filter has {len(message.must) + len(message.must_not)} conditions; at most"
            f" {MAX_CONDITIONS} are allowed",
            field="filter",
        )
    return Filter(
        must=_conditions(message.must, "filter.must"),
        must_not=_conditions(message.must_not, "filter.must_not"),
    )


def value_message(value: str | int | bool) -> pb.FieldValue:
    """Return a payload field's value as a message."""
    if isinstance(value, bool):
        return pb.FieldValue(boolean=value)
    return pb.FieldValue(integer=value) if isinstance(value, int) else pb.FieldValue(text=value)


def _conditions(message: Sequence[pb.Condition], where: str) -> tuple[Condition, ...]:
    return tuple(_condition(one, f"{where}[{index}]") for index, one in enumerate(message))


def _condition(message: pb.Condition, where: str) -> Condition:
    key = message.field
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
        case _:
            raise InvalidInputError(
                f"the condition on {key!r} has no test: set equals, any_of, range or words",
                field=where,
            )


def _value(message: pb.FieldValue, where: str) -> str | int | bool:
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "integer":
            return message.integer
        case "boolean":
            return message.boolean
        case _:
            raise InvalidInputError(
                "the value is missing: set text, integer or boolean", field=where
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
    elif len(booleans) == 1 and all(isinstance(value, bool) for value in values):
        return Equals(key, booleans.pop())
    raise InvalidInputError(
        f"the values for {key!r} must be all texts, all integers, or all the same boolean",
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
