"""Filters on numbers, times, places and what is absent: every engine, with indexes and without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from landmarks.errors import InvalidInputError
from landmarks.vector_store.filters import (
    AnyOf,
    Condition,
    Empty,
    Equals,
    Filter,
    Nothing,
    Range,
    TimeRange,
    fitted,
)
from landmarks.vector_store.geo_filters import Inside, Near
from landmarks.vector_store.marks import Claim
from landmarks.vector_store.points import PayloadValue, Point
from tests.support.stores import StoreUnderTest, photo, photo_id, unit_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]


def at(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)


def place(latitude: float, longitude: float) -> dict[str, float]:
    return {"lat": latitude, "lon": longitude}


# By the kind of index: the values of a field of one type, and conditions with what they find.
NUMBERS: Sequence[PayloadValue] = (-3, 0, 1888, 1889, 1890, None)
FRACTIONS: Sequence[PayloadValue] = (-0.5, 0.0, 1889.0, 1889.5, 1890.0, None)
TIMES: Sequence[PayloadValue] = (
    "1850-06-01T00:00:00Z",
    "2024-05-01T00:00:00Z",
    "2024-05-01T12:00:00+02:00",
    "2024-05-01T23:59:59.5Z",
    "2025-01-01T00:00:00Z",
    None,
)
TRUTHS: Sequence[PayloadValue] = (True, False, None)
LISTS: Sequence[PayloadValue] = (["sunset", "night"], ["sunset"], [], None)
POLE = 90 - 1e-7
PLACES: Sequence[PayloadValue] = (
    place(50.895, 4.341),
    place(50.9, 4.34),
    place(10.0, 180.0),
    place(10.0, -180.0),
    place(10.0, 179.9),
    place(10.0, -179.9),
    place(POLE, 0.0),
    place(-POLE, 100.0),
    place(0.0, 0.0),
    None,
)
EARTH = set(range(9))
DATELINE = {2, 3, 4, 5}
F = "f"
CASES: Mapping[str, tuple[Sequence[PayloadValue], Sequence[tuple[Condition, set[int]]]]] = {
    "integer": (
        NUMBERS,
        [
            (Range(F, gte=1889), {3, 4}),
            (Range(F, gt=1888.5), {3, 4}),
            (Range(F, lt=1889.5), {0, 1, 2, 3}),
            (Range(F, gte=-1e300), {0, 1, 2, 3, 4}),
            (Equals(F, 1889), {3}),
            (Equals(F, 1889.0), {3}),
            (AnyOf(F, (0, 1890)), {1, 4}),
            (AnyOf(F, (0.0, 1890)), {1, 4}),
            (TimeRange(F, gte=at(1900, 1, 1)), set()),
            (TimeRange(F, lt=at(2100, 1, 1)), set()),
            (Empty(F), {5}),
        ],
    ),
    "float": (
        FRACTIONS,
        [
            (Range(F, gte=1889.5), {3, 4}),
            (Range(F, lt=1889.5), {0, 1, 2}),
            (Equals(F, 1889.5), {3}),
            (Equals(F, 1889.0), {2}),
            (AnyOf(F, (0.0, 1889.5)), {1, 3}),
            (TimeRange(F, gte=at(1900, 1, 1)), set()),
            (TimeRange(F, lt=at(2100, 1, 1)), set()),
            (Empty(F), {5}),
        ],
    ),
    "datetime": (
        TIMES,
        [
            (TimeRange(F, gte=at(2024, 5, 1), lt=at(2024, 5, 2)), {1, 2, 3}),
            (TimeRange(F, lt=at(1900, 1, 1)), {0}),
            (TimeRange(F, gt=at(2024, 5, 1, 10)), {3, 4}),
            (TimeRange(F, gte=at(2024, 5, 1, 10)), {2, 3, 4}),
            (Range(F, gte=-1e300), set()),
            (Range(F, lt=2000), set()),
            (Equals(F, 2024.0), set()),
            (AnyOf(F, (2024.0,)), set()),
            (Equals(F, "2025-01-01T00:00:00Z"), {4}),
            (Empty(F), {5}),
        ],
    ),
    "bool": (
        TRUTHS,
        [
            (Equals(F, True), {0}),
            (Equals(F, False), {1}),
            (Empty(F), {2}),
            (Range(F, gte=0), set()),
        ],
    ),
    "keyword": (
        LISTS,
        [
            (Equals(F, "sunset"), {0, 1}),
            (Equals(F, "night"), {0}),
            (AnyOf(F, ("night", "rain")), {0}),
            (Empty(F), {2, 3}),
        ],
    ),
    "geo": (
        PLACES,
        [
            (Near(F, 50.895, 4.341, 2000), {0, 1}),
            (Near(F, 50.895, 4.341, 100), {0}),
            (Near(F, 10, 179.95, 30_000), DATELINE),
            (Inside(F, 50.895, 4.341, 51, 5), {0}),  # on its corner
            (Inside(F, 9, 179, 11, -179), DATELINE),
            (Inside(F, 9, 179, 11, 180), {2, 3, 4}),
            (Inside(F, 9, -180, 11, -179), {2, 3, 5}),
            (Inside(F, -90, -180, 90, 180), EARTH),
            (Inside(F, -90, -180, 90, 0), {2, 3, 5, 6, 8}),
            (Inside(F, 80, -180, 90, 180), {6}),
            (Inside(F, -90, 99, -80, 101), {7}),
            (Inside(F, 0, 0, 0, 0), {8}),
            (Inside(F, 20, -180, 60, 180), {0, 1}),
            (Empty(F), {9}),
        ],
    ),
}


def stored(engine: StoreUnderTest, values: Sequence[PayloadValue]) -> str:
    name = engine.collection().name
    rows = unit_rows(len(values))
    engine.points.upsert(
        name,
        [
            Point(photo_id(n), rows[n], {**photo(n).to_payload(), F: value})
            for n, value in enumerate(values)
        ],
    )
    return name


def numbered(ids: Sequence[UUID]) -> set[int]:
    places = {photo_id(n): n for n in range(100)}
    return {places[one] for one in ids}


@pytest.mark.parametrize("kind", CASES)
def test_a_typed_field_answers_the_same_before_and_after_it_has_an_index(
    engine: StoreUnderTest, kind: str
) -> None:
    values, asked = CASES[kind]
    name = stored(engine, values)

    def check(fields: Mapping[str, str]) -> None:
        for condition, wanted in asked:
            for chosen, right in (
                (Filter(must=(condition,)), wanted),
                (Filter(should=(condition, Equals("path", "0.jpg"))), wanted | {0}),
                (Filter(must_not=(condition,)), set(range(len(values))) - wanted),
                (Filter(must=(Filter(must_not=(condition,)),)), set(range(len(values))) - wanted),
            ):
                fit = fitted(chosen, fields, name)
                found = [point.id for point in engine.points.scan(name, fit)]
                assert numbered(found) == right, (chosen, fields)
                assert engine.points.count(name, fit) == len(right), (chosen, fields)

    check({})
    if engine.name == "memory":  # which has no indexes
        return
    engine.collections.ensure_indexes(name, {F: kind})
    assert engine.collections.kinds(name)[F] == kind
    check(engine.collections.kinds(name))


def test_what_is_absent_is_counted_and_deleted_without_marks_of_other_photos(
    wire_engine: StoreUnderTest,
) -> None:
    name = wire_engine.collection().name
    rows = unit_rows(3)
    labels = ("atomium", None, None)
    wire_engine.points.upsert(
        name,
        [Point(photo_id(n), rows[n], photo(n, landmark=labels[n]).to_payload()) for n in range(3)],
    )
    wire_engine.writes.delete(name, 5, [photo_id(2)])
    # Two photos that are being written, one of which will have a landmark.
    claim = Claim(7, "somebody")
    plans = {photo_id(10 + n): photo(10 + n, landmark=labels[n]).to_payload() for n in range(2)}
    wire_engine.writes.claim(name, claim, {}, plans)
    unlabelled = Filter(must=(Empty("landmark"),))
    either = Filter(should=(Empty("landmark"), Equals("landmark", "atomium")))

    assert wire_engine.points.count(name, unlabelled) == 1
    assert wire_engine.points.count(name, either) == 2
    assert [one.id for one in wire_engine.points.scan(name, unlabelled)] == [photo_id(1)]
    assert wire_engine.writes.delete_where(name, 9, unlabelled) == 1
    assert wire_engine.points.count(name) == 1
    seen = wire_engine.writes.seen(name, list(plans))
    assert (seen[photo_id(10)].mark, seen[photo_id(11)].mark) == ("reserved", "deleted")


def test_numbers_of_a_type_are_compared_as_their_field_has_them() -> None:
    kinds = {"rating": "float", "taken": "datetime", "year": "integer"}

    def fit(condition: Condition) -> Condition:
        return fitted(Filter(must=(condition,)), kinds, "c").must[0]

    assert fit(Equals("rating", 3)) == Equals("rating", 3.0)
    assert fit(Equals("year", 3)) == Equals("year", 3)
    assert fit(Equals("rating", True)) == Equals("rating", True)
    assert fit(AnyOf("rating", (3, 4))) == AnyOf("rating", (3.0, 4.0))
    assert fit(Range("taken", gte=3)) == Nothing()
    assert fit(Filter(should=(Range("taken", gte=3),))) == Filter(should=(Nothing(),))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Near(F, 91, 0, 10), "latitudes are -90 to 90"),
        (lambda: Near(F, 0, 200, 10), "longitudes -180 to 180"),
        (lambda: Near(F, float("nan"), 0, 10), "not a place"),
        (lambda: Near(F, 0, 0, 0), "more than 0"),
        (lambda: Inside(F, 10, 0, 5, 1), "north of its north"),
        (lambda: Inside(F, 0, -181, 5, 1), "not a place"),
    ],
)
def test_a_place_that_is_not_on_earth_is_refused(made: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        made()
