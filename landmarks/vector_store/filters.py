"""Conditions on payload, as our own values, converted to Qdrant's.

A filter means the same whether or not a field is indexed. Qdrant alone does not promise that: an
index of dates compares their microseconds with a range of numbers, and one of places loses those in
a box that touches a pole or the date line. See `fitted` and `geo_filters`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from qdrant_client import models

from landmarks.errors import InvalidInputError
from landmarks.vector_store.geo_filters import Inside, Near, inside_boxes, near_circle

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NUMBERS = ("integer", "float")


@dataclass(frozen=True)
class Equals:
    """The field `key` has this value, or is a list that has it."""

    key: str
    value: str | int | float | bool


@dataclass(frozen=True)
class AnyOf:
    """The field `key` has one of these values: all texts, all whole numbers, or all numbers."""

    key: str
    values: tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Range:
    """The number in the field `key` lies within these bounds; at least one is given."""

    key: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True)
class TimeRange:
    """The time in the field `key` lies within these bounds, aware; at least one is given."""

    key: str
    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None


@dataclass(frozen=True)
class Words:
    """The text in the field `key` holds all of these words, in any order, whatever their case.

    If the field has no text index, Qdrant compares parts of words, and their case.
    """

    key: str
    text: str


@dataclass(frozen=True)
class Empty:
    """The field `key` is absent, null or a list of nothing."""

    key: str


@dataclass(frozen=True)
class Nothing:
    """No point passes."""


@dataclass(frozen=True)
class Filter:
    """All of `must` hold, one of `should` if there are any, and none of `must_not`.

    The empty filter passes every point. A condition can be a filter itself.
    """

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()
    should: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.must or self.must_not or self.should)

    def passes_absent(self) -> bool:
        """Say whether a point passes that has none of the fields."""
        return (
            all(map(_passes_absent, self.must))
            and not any(map(_passes_absent, self.must_not))
            and (not self.should or any(map(_passes_absent, self.should)))
        )


Condition: TypeAlias = (
    Equals | AnyOf | Range | TimeRange | Words | Near | Inside | Empty | Nothing | Filter
)

EVERYTHING = Filter()


def fitted(conditions: Filter, kinds: Mapping[str, str], collection: str) -> Filter:
    """Return the filter for a collection whose fields have these kinds of indexes.

    A number is compared as its field stores them, and dates are no numbers. Raises
    InvalidInputError for a filter on the words of a field that has no text index.
    """

    def fit(condition: Condition) -> Condition:
        if isinstance(condition, Filter):
            return fitted(condition, kinds, collection)
        if isinstance(condition, Nothing):
            return condition
        kind = kinds.get(condition.key)
        match condition:
            case Words() if kind != "text":
                raise _no_words(condition.key, kinds, collection)
            case Range() if kind == "datetime":
                return Nothing()
            case TimeRange() if kind in _NUMBERS:
                return Nothing()
            case Equals(key, float()) if kind == "datetime":
                return Nothing()
            case Equals(key, int() as value) if kind == "float" and not isinstance(value, bool):
                return Equals(key, float(value))
            case AnyOf(key, values) if kind in ("float", "datetime"):
                return _any_number(key, values) if kind == "float" else _texts_of(condition)
        return condition

    return replace(
        conditions,
        must=tuple(map(fit, conditions.must)),
        must_not=tuple(map(fit, conditions.must_not)),
        should=tuple(map(fit, conditions.should)),
    )


def to_qdrant(conditions: Filter, *, under: str = "") -> models.Filter | None:
    """Return the same filter for Qdrant; None for the empty one.

    `under` is the field in whose value the fields of the conditions are.

    Raises InvalidInputError for an empty condition, or one that mixes types.
    """
    if not conditions:
        return None
    return models.Filter(
        must=[_condition(one, under) for one in conditions.must] or None,
        must_not=[_condition(one, under) for one in conditions.must_not] or None,
        should=[_condition(one, under) for one in conditions.should] or None,
    )


def field_name(path: str) -> str:
    """Return the column of a path; Qdrant quotes fewer of them than `field_path`."""
    return path.replace('"', "")


def field_path(column: str) -> str:
    """Return the path to a column: names with unusual characters are quoted in Qdrant's paths."""
    if _PLAIN_KEY.fullmatch(column):
        return column
    if not column or set('"[].').intersection(column):
        raise InvalidInputError(f"{column!r} is not the name of a field", field="filter")
    return json.dumps(column, ensure_ascii=False)


def _condition(condition: Condition, under: str) -> models.Condition:
    if isinstance(condition, Filter):
        return to_qdrant(condition, under=under) or models.Filter()
    if isinstance(condition, Nothing):
        return models.HasIdCondition(has_id=[])
    key = field_path(condition.key)
    if under:
        key = f"{under}.{key}"
    match condition:
        case Equals(_, float() as value):
            bounds = models.Range(gte=value, lte=value)
            return models.FieldCondition(key=key, range=bounds)
        case Equals(_, value):
            return models.FieldCondition(key=key, match=models.MatchValue(value=value))
        case AnyOf(_, values):
            return _match_any(key, values)
        case Words(_, text):
            return models.FieldCondition(key=key, match=models.MatchText(text=text))
        case Empty():
            return models.IsEmptyCondition(is_empty=models.PayloadField(key=key))
        case Near():
            return near_circle(key, condition)
        case Inside():
            return inside_boxes(key, condition)
        case Range(_, gt, gte, lt, lte):
            _check_bounds(key, gt, gte, lt, lte)
            bounds = models.Range(gt=gt, gte=gte, lt=lt, lte=lte)
            return models.FieldCondition(key=key, range=bounds)
        case TimeRange(_, gt, gte, lt, lte):
            _check_bounds(key, gt, gte, lt, lte)
            times = models.DatetimeRange(gt=gt, gte=gte, lt=lt, lte=lte)
            return models.FieldCondition(key=key, range=times)


def _check_bounds(key: str, *bounds: object) -> None:
    if all(bound is None for bound in bounds):
        raise InvalidInputError(f"the range of {key} has no bound", field="filter")


def _match_any(
    key: str, values: tuple[str, ...] | tuple[int, ...] | tuple[float, ...]
) -> models.Condition:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) == len(values):
        return models.FieldCondition(key=key, match=models.MatchAny(any=texts))
    wholes = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    if len(wholes) == len(values):
        return models.FieldCondition(key=key, match=models.MatchAny(any=wholes))
    numbers = [value for value in values if isinstance(value, float)]
    if len(wholes) + len(numbers) == len(values):
        ranges = [models.Range(gte=value, lte=value) for value in (*wholes, *numbers)]
        return models.Filter(should=[models.FieldCondition(key=key, range=one) for one in ranges])
    raise InvalidInputError(
        f"the values for {key} are neither all texts nor all numbers", field="filter"
    )


def _any_number(
    key: str, values: tuple[str, ...] | tuple[int, ...] | tuple[float, ...]
) -> Condition:
    whole = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    return AnyOf(key, tuple(map(float, whole))) if len(whole) == len(values) else AnyOf(key, values)


def _texts_of(condition: AnyOf) -> Condition:
    """Return the condition for a field of dates, none of which is a number."""
    return Nothing() if any(isinstance(one, float) for one in condition.values) else condition


def _passes_absent(condition: Condition) -> bool:
    if isinstance(condition, Filter):
        return condition.passes_absent()
    return isinstance(condition, Empty)


def _no_words(key: str, kinds: Mapping[str, str], collection: str) -> InvalidInputError:
    have = ", ".join(sorted(one for one, kind in kinds.items() if kind == "text")) or "none"
    return InvalidInputError(
        f"words of {key!r} cannot be searched for in {collection}: they are not indexed; fields"
        f" with words are: {have}. Index photos whose manifest has this column; it has to be one of"
        " the workers' LANDMARKS_QDRANT_TEXT_FIELDS",
        field="filter",
    )
