import json

import pytest

from benchmarks.results import BenchRow, merged, read_rows, row_of, row_without_value, write_rows


def row(name, value=1.0, goal=">= 0.95"):
    return BenchRow(name, value, goal, "", "")


def test_a_row_is_the_median_of_its_repetitions_with_their_spread():
    measured = row_of("serve-1-toy", ">= 0.95", [0.9, 1.1, 0.97], "as is")
    assert measured == BenchRow("serve-1-toy", 0.97, ">= 0.95", "0.900 to 1.100 of 3", "as is")
    with pytest.raises(ValueError, match="no repetition"):
        row_of("serve-1-toy", ">= 0.95", [], "")


def test_a_figure_that_could_not_be_measured_stays_as_a_row_with_the_reason():
    missing = row_without_value("serve-4-toy-peer", ">= 1.0", "there is no such package")
    assert missing.value is None
    assert missing.met is None
    assert missing.conditions == "not measured: there is no such package"


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [
        (0.95, ">= 0.95", True),
        (0.94, ">= 0.95", False),
        (0, "<= 0", True),
        (1.3, "<= 1.2", False),
        (1.3, "", None),
    ],
)
def test_a_goal_is_met_or_not(value, goal, met):
    assert row("serve", value, goal).met is met


def test_rows_of_another_run_stay_and_those_measured_again_are_replaced():
    before = [row("store-1"), row("serve-1", 0.5)]
    assert merged(before, [row("serve-1", 0.9), row("serve-2")]) == [
        row("serve-1", 0.9),
        row("serve-2"),
        row("store-1"),
    ]


def test_a_file_of_rows_is_a_list_of_objects_and_is_read_back(tmp_path):
    path = tmp_path / "bench.json"
    assert read_rows(path) == []
    rows = [row("serve-1"), row_without_value("serve-2", "<= 1.0", "4 × nothing")]
    write_rows(path, rows)
    assert read_rows(path) == rows
    assert [set(each) for each in json.loads(path.read_text())] == [
        {"id", "value", "goal", "spread", "conditions"}
    ] * 2
