"""The filter that `--where` and its companions mean."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks_tools.cli.where import filter_of, parse_where


def text(value: str) -> pb.FieldValue:
    return pb.FieldValue(text=value)


def at(*numbers: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime(*numbers, tzinfo=UTC))
    return stamp


def either(*conditions: pb.Condition) -> pb.Condition:
    return pb.Condition(filter=pb.Filter(should=conditions))


def test_each_operator_is_a_test_of_the_contract():
    passing = parse_where(
        [
            "landmark=Atomium",
            "landmark = Soreq cave",
            "split!=val",
            "year>=1900",
            "year<2000",
            "caption~golden dome",
            "a=b=c",
        ]
    )
    assert passing == pb.Filter(
        must=[
            pb.Condition(field="caption", words="golden dome"),
            pb.Condition(
                field="landmark",
                any_of=pb.FieldValues(values=[text("Atomium"), text("Soreq cave")]),
            ),
            pb.Condition(field="a", equals=text("b=c")),
            either(
                pb.Condition(field="year", range=pb.NumberRange(gte=1900, lt=2000)),
                pb.Condition(
                    field="year", time_range=pb.TimeRange(gte=at(1900, 1, 1), lt=at(2000, 1, 1))
                ),
            ),
        ],
        must_not=[pb.Condition(field="split", equals=text("val"))],
    )


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ("Atomium", "as in landmark=Atomium"),
        ("=x", "as in"),
        ("year>old", "'old' is not a number"),
        ("year>1e400000", "not a number"),
    ],
)
def test_a_clause_that_means_nothing_is_refused(clause, said):
    with pytest.raises(InvalidInputError, match=said):
        parse_where([clause])


def test_a_value_is_asked_for_as_each_type_that_it_can_have():
    number = pb.Condition(field="rating", equals=pb.FieldValue(number=2.5))
    [condition] = parse_where(["rating=2.5"]).must
    assert condition == either(pb.Condition(field="rating", equals=text("2.5")), number)

    [condition] = parse_where(["rating=2.5", "rating=3.5"]).must
    numbers = pb.FieldValues(values=[pb.FieldValue(number=one) for one in (2.5, 3.5)])
    assert condition.filter.should[1] == pb.Condition(field="rating", any_of=numbers)

    truth = pb.Condition(field="has people", equals=pb.FieldValue(boolean=True))
    [condition] = parse_where(["has people=True"]).must
    assert condition == either(pb.Condition(field="has people", equals=text("True")), truth)

    [condition] = parse_where(["landmark="]).must
    assert condition.filter.should[1] == pb.Condition(field="landmark", empty=True)

    [condition] = parse_where(["taken=2024-05"]).must
    may = pb.TimeRange(gte=at(2024, 5, 1), lt=at(2024, 6, 1))
    assert condition.filter.should[1] == pb.Condition(field="taken", time_range=may)


@pytest.mark.parametrize(
    ("clause", "bounds"),
    [
        ("taken>2024-02-29", pb.TimeRange(gte=at(2024, 3, 1))),
        ("taken>=2024-02-29", pb.TimeRange(gte=at(2024, 2, 29))),
        ("taken<2024-12", pb.TimeRange(lt=at(2024, 12, 1))),
        ("taken<=2024-12", pb.TimeRange(lt=at(2025, 1, 1))),
        ("taken<=2024-05-01T12:00+02:00", pb.TimeRange(lt=at(2024, 5, 1, 10, 1))),
    ],
)
def test_a_date_is_all_of_its_time(clause, bounds):
    assert parse_where([clause]).must == [pb.Condition(field="taken", time_range=bounds)]


def test_a_field_is_not_compared_with_a_number_and_a_date():
    with pytest.raises(InvalidInputError, match="cannot be both"):
        parse_where(["year>=12", "year<2024-05-01"])


def test_the_companions_are_conditions_of_their_own_fields():
    chosen = filter_of(
        ["landmark!=Atomium"],
        after="2020",
        before="2021-06",
        near="50.895,4.341,2km",
        inside="spot=-10,170,10,-170",
        unlabelled=True,
    )
    circle = pb.Circle(center=pb.Place(latitude=50.895, longitude=4.341), radius_meters=2000)
    assert list(chosen.must) == [
        pb.Condition(field="taken", time_range=pb.TimeRange(gte=at(2020, 1, 1))),
        pb.Condition(field="taken", time_range=pb.TimeRange(lt=at(2021, 6, 1))),
        pb.Condition(field="place", near=circle),
        pb.Condition(field="spot", inside=pb.PlaceBox(south=-10, west=170, north=10, east=-170)),
        pb.Condition(field="landmark", empty=True),
    ]
    one_of = filter_of(["landmark!=Atomium"], after="2020", any_of=True)
    assert not one_of.must
    assert one_of.should[1].filter.must_not == chosen.must_not


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("near", "50.895,4.341", "distance in km or m"),
        ("near", "50.895,4.341,2", "distance in km or m"),
        ("near", "here,4.341,2km", "distance in km or m"),
        ("inside", "1,2,3", "south, west, north and east"),
        ("after", "soon", "--after: 'soon' is not a date"),
        ("before", "2024-13", "--before: '2024-13' is not a date"),
    ],
)
def test_a_companion_that_means_nothing_is_refused(option, value, said):
    with pytest.raises(InvalidInputError, match=said):
        filter_of([], **{option: value})
