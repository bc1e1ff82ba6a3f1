"""A request's filter as the store's values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.vector_store.filters import AnyOf, Condition, Equals, Filter, Range, Words

MAX_CONDITIONS = 100
MAX_VALUES = 10_000


def parse_filter(asked: pb.Filter) -> Filter:
    """Return the filter; raises InvalidInputError that names the condition that says nothing."""
    if len(asked.must) + len(asked.must_not) > MAX_CONDITIONS:
        raise InvalidInputError(
            f"the filter has {len(asked.must) + len(asked.must_not)} conditions, and must have"
            f" 0 to {MAX_CONDITIONS}",
            field="filter",
        )
    return Filter(
        must=_conditions(asked.must, "filter.must"),
        must_not=_conditions(asked.must_not, "filter.must_not"),
    )


def value_message(value: str | int | bool) -> pb.FieldValue:
    """Return a payload field's value."""
    if isinstance(value, bool):
        return pb.FieldValue(boolean=value)
    return pb.FieldValue(integer=value) if isinstance(value, int) else pb.FieldValue(text=value)


def _conditions(asked: Sequence[pb.Condition], where: str) -> tuple[Condition, ...]:
    return tuple(_condition(one, f"{where}[{place}]") for place, one in enumerate(asked))


def _condition(asked: pb.Condition, where: str) -> Condition:
    key = asked.field
    if not key or set('"[].').intersection(key) or not key.isprintable():
        raise InvalidInputError(
            f"{key!r} is not the name of a payload field, such as 'landmark'",
            field=f"{where}.field",
        )
    match asked.WhichOneof("test"):
        case "equals":
            return Equals(key, _value(asked.equals, f"{where}.equals"))
        case "any_of":
            return _any_of(key, asked.any_of, f"{where}.any_of")
        case "range":
            return _range(key, asked.range, f"{where}.range")
        case "words" if asked.words.strip():
            return Words(key, asked.words)
        case "words":
            raise InvalidInputError(f"no word is given for {key!r}", field=f"{where}.words")
        case _:
            raise InvalidInputError(
                f"the condition on {key!r} has no test: give one of equals, any_of, range and"
                " words",
                field=where,
            )


def _value(asked: pb.FieldValue, where: str) -> str | int | bool:
    match asked.WhichOneof("kind"):
        case "text":
            return asked.text
        case "integer":
            return asked.integer
        case "boolean":
            return asked.boolean
        case _:
            raise InvalidInputError(
                "the value is not given: give one of text, integer and boolean", field=where
            )


def _any_of(key: str, asked: pb.FieldValues, where: str) -> Condition:
    if not 1 <= len(asked.values) <= MAX_VALUES:
        raise InvalidInputError(
            f"{len(asked.values)} values are given for {key!r}, and must be 1 to {MAX_VALUES}",
            field=where,
        )
    values = [_value(one, f"{where}.values[{place}]") for place, one in enumerate(asked.values)]
    texts = tuple(value for value in values if isinstance(value, str))
    if len(texts) == len(values):
        return AnyOf(key, texts)
    truths = {value for value in values if isinstance(value, bool)}
    if not truths:
        numbers = tuple(value for value in values if isinstance(value, int))
        if len(numbers) == len(values):
            return AnyOf(key, numbers)
    elif len(truths) == 1 and all(isinstance(value, bool) for value in values):
        return Equals(key, truths.pop())
    raise InvalidInputError(
        f"the values for {key!r} must be all texts, all whole numbers, or one of true and false",
        field=where,
    )


def _range(key: str, asked: pb.NumberRange, where: str) -> Range:
    bounds = {
        name: bound
        for name, bound in (
            ("gt", asked.gt if asked.HasField("gt") else None),
            ("gte", asked.gte if asked.HasField("gte") else None),
            ("lt", asked.lt if asked.HasField("lt") else None),
            ("lte", asked.lte if asked.HasField("lte") else None),
        )
        if bound is not None
    }
    if not bounds:
        raise InvalidInputError(
            f"the range of {key!r} has no bound: give gt, gte, lt or lte", field=where
        )
    for name, bound in bounds.items():
        if math.isnan(bound):
            raise InvalidInputError(f"a bound of {key!r} is NaN", field=f"{where}.{name}")
    return Range(key, **bounds)
