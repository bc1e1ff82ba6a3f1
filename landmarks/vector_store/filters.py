"""Conditions on payload, as our own values, converted to Qdrant's."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from qdrant_client import models

from landmarks.errors import InvalidInputError

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Equals:
    """The field `key` has this value."""

    key: str
    value: str | int | bool


@dataclass(frozen=True)
class AnyOf:
    """The field `key` has one of these values: all texts, or all whole numbers."""

    key: str
    values: tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True)
class Range:
    """The number in the field `key` lies within these bounds; at least one is given."""

    key: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True)
class Words:
    """The text in the field `key` holds all of these words, in any order, whatever their case.

    If the field has no text index, Qdrant compares parts of words, and their case.
    """

    key: str
    text: str


Condition: TypeAlias = Equals | AnyOf | Range | Words


@dataclass(frozen=True)
class Filter:
    """All of `must` hold and none of `must_not`. The empty filter passes every point."""

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.must or self.must_not)


EVERYTHING = Filter()


def words_in(
    conditions: Filter, text_fields: Collection[str], collection: str
) -> InvalidInputError | None:
    """Return the error for a filter on the words of a field that has no text index, if any."""
    for condition in (*conditions.must, *conditions.must_not):
        if isinstance(condition, Words) and condition.key not in text_fields:
            have = ", ".join(sorted(text_fields)) or "none"
            return InvalidInputError(
                f"words of {condition.key!r} cannot be searched for in {collection}: they are not"
                f" indexed; fields with words are: {have}. Index photos whose manifest has this"
                " column; it has to be one of the workers' LANDMARKS_QDRANT_TEXT_FIELDS",
                field="filter",
            )
    return None


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


def _condition(condition: Condition, under: str) -> models.FieldCondition:
    key = field_path(condition.key)
    if under:
        key = f"{under}.{key}"
    match condition:
        case Equals(_, value):
            return models.FieldCondition(key=key, match=models.MatchValue(value=value))
        case AnyOf(_, values):
            return models.FieldCondition(key=key, match=models.MatchAny(any=_one_type(key, values)))
        case Words(_, text):
            return models.FieldCondition(key=key, match=models.MatchText(text=text))
        case Range(_, gt, gte, lt, lte):
            if gt is None and gte is None and lt is None and lte is None:
                raise InvalidInputError(f"the range of {key} has no bound", field="filter")
            bounds = models.Range(gt=gt, gte=gte, lt=lt, lte=lte)
            return models.FieldCondition(key=key, range=bounds)


def _one_type(key: str, values: tuple[str, ...] | tuple[int, ...]) -> list[str] | list[int]:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) == len(values):
        return texts
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return numbers
    raise InvalidInputError(
        f"the values for {key} are neither all texts nor all whole numbers", field="filter"
    )
