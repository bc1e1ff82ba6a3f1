"""Manifests as spreadsheets, pandas and Windows write them."""

from pathlib import Path

import pytest

from landmarks.errors import InvalidInputError
from landmarks.photos.entry import Entry
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Source, Sources

ROWS = [["path", "landmark", "year"]] + [
    [f"images/{n:02}.jpg", "Big Ben", "1859"] for n in range(3)
]


def opened(folder: Path, data: bytes | str) -> Source:
    place = folder / "m.csv"
    place.write_bytes(data if isinstance(data, bytes) else data.encode())
    return Sources(SourceRoots([str(folder)])).open(str(place))


def listed(folder: Path, data: bytes | str) -> list[Entry]:
    source = opened(folder, data)
    source.check()
    return list(source.entries())


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_manifest_says_by_its_first_line_what_separates_its_columns(
    tmp_path, separator, end, mark
):
    text = mark + end.join([*(separator.join(row) for row in ROWS), ""])
    found = listed(tmp_path, text)
    assert [(one.path, one.landmark, one.columns, one.problem) for one in found] == [
        (path, landmark, {"year": int(year)}, "") for path, landmark, year in ROWS[1:]
    ]


def test_a_separator_in_quotes_belongs_to_the_cell(tmp_path):
    (found,) = listed(tmp_path, '"landmark";"path"; note\n"a, b; c";x.jpg;"d\te"\n')
    assert (found.landmark, found.columns) == ("a, b; c", {"note": "d\te"})


@pytest.mark.parametrize("header", ["path,landmark,,", "path,landmark", ",path,landmark"])
def test_empty_cells_at_the_end_and_empty_rows_are_nothing(tmp_path, header):
    first = "0," if header.startswith(",") else ""
    source = opened(tmp_path, f"{header}\n{first}a.jpg,Taj,,\n,,,\n{first}b.jpg,Taj,,\n")
    found = list(source.entries())
    assert [(one.path, one.landmark, one.problem) for one in found] == [
        ("a.jpg", "Taj", ""),
        ("b.jpg", "Taj", ""),
    ]
    assert source.doubt == ""


def test_windows_separators_are_separators_unless_a_file_is_called_that(tmp_path):
    (tmp_path / r"images\odd.jpg").write_bytes(b"x")
    rows = [r"images\Taj\a.jpg", r"images\odd.jpg", r"C:\photos\a.jpg", r"..\a.jpg"]
    found = listed(tmp_path, "path,landmark\n" + "".join(f"{row},Taj\n" for row in rows))
    assert [one.path for one in found[:2]] == ["images/Taj/a.jpg", r"images\odd.jpg"]
    assert "begins with a drive" in found[2].problem
    assert "climbs out" in found[3].problem


def test_labels_of_a_manifest_are_in_one_form(tmp_path):
    found = listed(tmp_path, "path,landmark\na.jpg,Cafe\u0301\nb.jpg,Caf\u00e9\n")
    assert {one.landmark for one in found} == {"Caf\u00e9"}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("bad", [["images/03.jpg", '"Big Ben'], ['"images/03.jpg', "Big Ben"]])
def test_a_quote_that_is_not_closed_is_refused_before_anything_is_listed(tmp_path, separator, bad):
    rows = [["path", "landmark"], *([f"images/{n:02}.jpg", "Atomium"] for n in range(12))]
    rows[4] = bad
    source = opened(tmp_path, "\n".join(separator.join(row) for row in rows))
    with pytest.raises(InvalidInputError, match=r"line 5: a quote is opened there and not closed"):
        source.check()


def test_a_quote_closed_by_a_later_one_is_refused_too(tmp_path):
    rows = ["path;landmark", '0.jpg;"Big Ben', "1.jpg;Atomium", '2.jpg;"Atomium"', ""]
    with pytest.raises(InvalidInputError, match=r"line 2: a quote is opened"):
        opened(tmp_path, "\n".join(rows)).check()
