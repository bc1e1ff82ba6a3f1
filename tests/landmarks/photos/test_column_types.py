"""The types of a manifest's columns, and the values of their cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from landmarks.errors import InvalidInputError
from landmarks.photos.column_types import PayloadValue, place_value
from landmarks.photos.dates import date_span, rfc_3339
from landmarks.photos.entry import Entry
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Source, Sources


def opened(folder: Path, text: str, *splits: str) -> Source:
    (folder / "m.csv").write_text(text)
    return Sources(SourceRoots([str(folder)])).open(str(folder / "m.csv"), splits)


def listed(folder: Path, text: str, *splits: str) -> list[Entry]:
    return list(opened(folder, text, *splits).entries())


def values(folder: Path, heading: str, *cells: str) -> list[PayloadValue]:
    """Return the values of a column whose cells are these; None where there is none."""
    rows = "".join(f'{n}.jpg,x,"{cell}"\n' for n, cell in enumerate(cells))
    name = heading.partition(":")[0]
    return [entry.columns.get(name) for entry in listed(folder, f"path,landmark,{heading}\n{rows}")]


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (("1889", "", "-3"), [1889, None, -3]),
        (("1889", "2.5", "1e3"), [1889.0, 2.5, 1000.0]),
        (("True", "false"), [True, False]),
        (("1889", "ca. 1890"), ["1889", "ca. 1890"]),
        (("007", "8"), ["007", "8"]),  # a code, not a number
        (("9007199254740993", "8"), ["9007199254740993", "8"]),  # no float can hold it
        (("nan", "2.5"), ["nan", "2.5"]),
        (("2024-05-01", "2024-05-02"), ["2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z"]),
        (
            ("2024:05:01 12:00:00", "2024-05-01T12:00+02:00"),
            ["2024-05-01T12:00:00Z", "2024-05-01T12:00:00+02:00"],
        ),
        (("2024-02-30", "2024-05-01"), ["2024-02-30", "2024-05-01"]),
        (("01/02/2024",), ["01/02/2024"]),
        (("50.895,4.341", "-1.5 179.0"), [place_value(50.895, 4.341), place_value(-1.5, 179.0)]),
        (("50.895,200.5",), ["50.895,200.5"]),
        (("sunset;night", "sunset"), [["sunset", "night"], ["sunset"]]),
        (("a dome; golden", "a;b"), ["a dome; golden", "a;b"]),
        (("", ""), [None, None]),
    ],
)
def test_a_column_has_the_type_of_all_of_its_cells(tmp_path, cells, wanted):
    found = values(tmp_path, "c", *cells)
    assert found == wanted
    assert list(map(type, found)) == list(map(type, wanted))


@pytest.mark.parametrize(
    ("heading", "cell", "wanted"),
    [
        ("c:int", "007", 7),
        ("c:number", "3", 3.0),
        ("c:float", "3", 3.0),
        ("c:text", "1889", "1889"),
        ("c:date", "1889", "1889-01-01T00:00:00Z"),
        ("c:bool", "yes", True),
        ("c:place", "50, 4", place_value(50, 4)),
        ("c:list", "a ; b", ["a", "b"]),
        ("c:list", "a|b", ["a", "b"]),
    ],
)
def test_a_type_that_is_stated_is_taken(tmp_path, heading, cell, wanted):
    [found] = values(tmp_path, heading, cell)
    assert (type(found), found) == (type(wanted), wanted)


def test_a_cell_that_is_not_of_the_stated_type_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="line 3, column 'c': 'old' is not a whole number"):
        values(tmp_path, "c:int", "1", "old")


def test_a_heading_with_a_colon_and_no_type_keeps_it(tmp_path):
    [entry] = listed(tmp_path, "path,landmark,dc:title\na.jpg,x,A dome\n")
    assert entry.columns == {"dc:title": "A dome"}


def test_a_column_that_is_there_twice_with_its_type_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="'year' twice"):
        listed(tmp_path, "path,landmark,year,year:int\na.jpg,x,1,2\n")


def test_each_split_alone_has_the_types_of_the_whole(tmp_path):
    text = "path,landmark,split,year\na.jpg,x,1,1889\nb.jpg,x,2,unknown\n"
    [entry] = listed(tmp_path, text, "1")
    assert entry.columns == {"split": "1", "year": "1889"}


def test_latitudes_and_longitudes_are_places_together(tmp_path):
    text = "path,landmark,lat,lng\na.jpg,x,50.895,4\nb.jpg,x,,\nc.jpg,x,50,200\n"
    source = opened(tmp_path, text)
    first, second, third = source.entries()
    assert first.columns == {"lat": 50.895, "lng": 4, "place": place_value(50.895, 4)}
    assert second.columns == {}
    assert (third.columns, third.problem) == ({"lat": 50.0, "lng": 200}, "")
    [note] = source.notes
    assert "50.0, 200.0 is not a place" in note


def test_a_column_named_like_what_photos_have_in_them_is_of_its_type_or_has_another_name(tmp_path):
    text = "path,landmark,rating,place,camera,taken\na.jpg,x,4,Brussels,7,1889-05-06\n"
    source = opened(tmp_path, text)
    [entry] = source.entries()
    assert entry.columns == {
        "rating": 4.0,
        "manifest_place": "Brussels",
        "camera": "7",
        "taken": "1889-05-06T00:00:00Z",
    }
    [note] = source.notes
    assert "'place' of the manifest is stored as 'manifest_place'" in note


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2024", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2024-12", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2024-05-01 12:00", "2024-05-01T12:00:00Z", "2024-05-01T12:01:00Z"),
        ("2024-05-01T12:00:00", "2024-05-01T12:00:00Z", "2024-05-01T12:00:01Z"),
        ("2024-05-01T12:00:00.5-0330", "2024-05-01T12:00:00.500000-03:30", None),
        ("9999", "9999-01-01T00:00:00Z", None),
    ],
)
def test_a_date_is_a_span_of_time(text, begin, end):
    first, last = date_span(text)
    assert rfc_3339(first) == begin
    assert last > first
    if end is not None:
        assert rfc_3339(last) == end


@pytest.mark.parametrize("text", ["", "24", "2024-13", "2023-02-29", "2024-05-01T25:00", "0000"])
def test_what_is_no_date_is_said(text):
    with pytest.raises(ValueError, match="is not a date"):
        date_span(text)
