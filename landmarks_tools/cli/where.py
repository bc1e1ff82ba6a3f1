"""The filter that the command's options mean: `--where` and its companions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.photos.dates import date_span

WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=VALUE",
        help="Only photos whose field has this value; != excludes a value, < <= > >= compare"
        " numbers and dates (2024, 2024-05 and 2024-05-01 are all of their time), ~ matches words"
        " of an indexed text, and FIELD= an absent value. Repeatable: = on the same field matches"
        " any of its values; all other conditions must hold.",
    ),
]
AnyOption = Annotated[
    bool, typer.Option("--any", help="One condition of all these options is enough.")
]
AfterOption = Annotated[
    str, typer.Option(metavar="DATE", help="Only photos taken on this date or later: UTC.")
]
BeforeOption = Annotated[
    str, typer.Option(metavar="DATE", help="Only photos taken before this date: UTC.")
]
NearOption = Annotated[
    str,
    typer.Option(
        metavar="[FIELD=]LAT,LON,DISTANCE",
        help="Only photos whose place is near this one, as in 50.895,4.341,2km.",
    ),
]
InsideOption = Annotated[
    str,
    typer.Option(
        metavar="[FIELD=]S,W,N,E",
        help="Only photos whose place is in this box of degrees: south, west, north and east, as in"
        " 50.7,4.2,51,4.5. Across the date line, west is more than east.",
    ),
]
UnlabelledOption = Annotated[
    bool, typer.Option("--unlabelled", help="Only photos without a landmark.")
]

_TAKEN, _PLACE = "taken", "place"
_CLAUSE = re.compile(r"([^=!<>~]+)(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)
_DISTANCE = re.compile(r"(\d+(?:\.\d+)?) ?(km|m)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def filter_of(
    where: Sequence[str],
    *,
    after: str = "",
    before: str = "",
    near: str = "",
    inside: str = "",
    unlabelled: bool = False,
    any_of: bool = False,
) -> pb.Filter:
    """Return the filter for all of these options, or with `any_of` for one of them.

    Raises InvalidInputError that names the option which cannot be read, and says what can.
    """
    passing = parse_where(where)
    more = passing.must
    if after:
        more.add(field=_TAKEN, time_range=pb.TimeRange(gte=_stamp(_span("--after", after)[0])))
    if before:
        more.add(field=_TAKEN, time_range=pb.TimeRange(lt=_stamp(_span("--before", before)[0])))
    if near:
        more.append(_near(near))
    if inside:
        more.append(_inside(inside))
    if unlabelled:
        more.add(field="landmark", empty=True)
    if not any_of:
        return passing
    either = pb.Filter(should=passing.must)
    for one in passing.must_not:
        either.should.add(filter=pb.Filter(must_not=[one]))
    return either


def parse_where(clauses: Sequence[str]) -> pb.Filter:
    """Return the filter for clauses of a field, an operator and a value, such as `year>=1900`."""
    wanted: dict[str, list[pb.Condition]] = {}
    ranges: dict[str, list[tuple[str, str, str]]] = {}
    passing = pb.Filter()
    for clause in clauses:
        parts = _CLAUSE.fullmatch(clause)
        if parts is None:
            raise InvalidInputError(
                f"--where {clause!r} is not a field, one of = != < <= > >= ~ and a value, as in"
                " landmark=Atomium",
                field="filter",
            )
        field, operator, value = (part.strip() for part in parts.groups())
        match operator:
            case "=":
                wanted.setdefault(field, []).extend(_equal(field, value))
            case "!=":
                passing.must_not.extend(_equal(field, value))
            case "~":
                passing.must.add(field=field, words=value)
            case _:
                ranges.setdefault(field, []).append((operator, value, clause))
    passing.must.extend(_one_of(list(_together(some))) for some in wanted.values())
    passing.must.extend(_one_of(_between(field, some)) for field, some in ranges.items())
    return passing


def _equal(field: str, value: str) -> Iterator[pb.Condition]:
    """Yield what a value can mean, as a field is of one type."""
    yield pb.Condition(field=field, equals=pb.FieldValue(text=value))
    if not value:
        yield pb.Condition(field=field, empty=True)
    if value.lower() in ("true", "false"):
        truth = pb.FieldValue(boolean=value.lower() == "true")
        yield pb.Condition(field=field, equals=truth)
    if _NUMBER.fullmatch(value):
        yield pb.Condition(field=field, equals=pb.FieldValue(number=float(value)))
    if (span := _date(value)) is not None:
        times = pb.TimeRange(gte=_stamp(span[0]), lt=_stamp(span[1]))
        yield pb.Condition(field=field, time_range=times)


def _together(alternatives: Sequence[pb.Condition]) -> Iterator[pb.Condition]:
    """Take texts together, and numbers, as a filter may have a hundred conditions."""
    for kind in ("text", "number"):
        some = [one for one in alternatives if one.equals.WhichOneof("kind") == kind]
        if len(some) == 1:
            yield some[0]
        elif some:
            values = pb.FieldValues(values=[one.equals for one in some])
            yield pb.Condition(field=some[0].field, any_of=values)
    yield from (
        one for one in alternatives if one.equals.WhichOneof("kind") not in ("text", "number")
    )


def _one_of(alternatives: Sequence[pb.Condition]) -> pb.Condition:
    if len(alternatives) == 1:
        return alternatives[0]
    return pb.Condition(filter=pb.Filter(should=alternatives))


def _between(field: str, given: Sequence[tuple[str, str, str]]) -> list[pb.Condition]:
    """Return the range of numbers and that of dates which the bounds of a field can mean."""
    numbers: pb.NumberRange | None = pb.NumberRange()
    times: pb.TimeRange | None = pb.TimeRange()
    for operator, value, clause in given:
        span = _date(value)
        is_number = _NUMBER.fullmatch(value) is not None
        if span is None and not is_number:
            raise InvalidInputError(
                f"--where {clause!r}: {value!r} is not a number, nor a date such as 2024-05-01",
                field="filter",
            )
        if numbers is not None and is_number:
            setattr(numbers, _BOUNDS[operator], float(value))
        else:
            numbers = None
        if times is not None and span is not None:
            _bound(times, operator, span)
        else:
            times = None
    if numbers is None and times is None:
        raise InvalidInputError(
            f"--where compares {field!r} with a number and with a date; it cannot be both",
            field="filter",
        )
    found = []
    if numbers is not None:
        found.append(pb.Condition(field=field, range=numbers))
    if times is not None:
        found.append(pb.Condition(field=field, time_range=times))
    return found


def _bound(times: pb.TimeRange, operator: str, span: tuple[datetime, datetime]) -> None:
    """Set a bound that has all of a date's time on one side."""
    begin, end = map(_stamp, span)
    match operator:
        case "<":
            times.lt.CopyFrom(begin)
        case "<=":
            times.lt.CopyFrom(end)
        case ">":
            times.gte.CopyFrom(end)
        case _:
            times.gte.CopyFrom(begin)


def _near(text: str) -> pb.Condition:
    field, given = _field(text)
    parts = [part.strip() for part in given.split(",")]
    distance = _DISTANCE.fullmatch(parts[-1])
    try:
        latitude, longitude = map(float, parts[:-1])
    except ValueError:
        distance = None
    if distance is None:
        raise InvalidInputError(
            f"--near {text!r} is not a latitude, a longitude and a distance in km or m, as in"
            " 50.895,4.341,2km",
            field="filter",
        )
    meters = float(distance[1]) * (1000 if distance[2] == "km" else 1)
    center = pb.Place(latitude=latitude, longitude=longitude)
    return pb.Condition(field=field, near=pb.Circle(center=center, radius_meters=meters))


def _inside(text: str) -> pb.Condition:
    field, given = _field(text)
    try:
        south, west, north, east = map(float, given.split(","))
    except ValueError:
        raise InvalidInputError(
            f"--inside {text!r} is not the south, west, north and east of a box in degrees, as in"
            " 50.7,4.2,51,4.5",
            field="filter",
        ) from None
    box = pb.PlaceBox(south=south, west=west, north=north, east=east)
    return pb.Condition(field=field, inside=box)


def _field(text: str) -> tuple[str, str]:
    field, given, place = text.rpartition("=")
    return (field.strip() if given else _PLACE), place


def _span(option: str, text: str) -> tuple[datetime, datetime]:
    try:
        return date_span(text)
    except ValueError as error:
        raise InvalidInputError(f"{option}: {error}", field="filter") from error


def _date(text: str) -> tuple[datetime, datetime] | None:
    try:
        return date_span(text)
    except ValueError:
        return None


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
