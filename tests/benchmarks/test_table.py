from benchmarks.results import BenchRow, row_without_value
from benchmarks.table import write_table

ROWS = [
    BenchRow("serve-1-toy", 0.971, ">= 0.95", "0.9 to 1.0 of 3", "this | that"),
    BenchRow("serve-2-toy", 0.8, ">= 0.90", "0.8 to 0.8 of 3", ""),
    row_without_value("serve-4-toy", ">= 1.0", "no uv"),
    BenchRow("serve-5-toy", 12.5, "", "12.500 to 12.500 of 1", "measured, without a goal"),
]


def test_the_table_says_of_each_figure_whether_its_goal_is_met(tmp_path):
    path = tmp_path / "benchmarks.md"
    write_table(path, ROWS, ["Machine: a machine", "Command: `make bench`"])
    lines = path.read_text().splitlines()
    assert "- Machine: a machine" in lines
    assert r"| `serve-1-toy` | 0.971 | >= 0.95 | yes | 0.9 to 1.0 of 3 | this \| that |" in lines
    assert "| `serve-2-toy` | 0.800 | >= 0.90 | **no** | 0.8 to 0.8 of 3 |  |" in lines
    assert "| `serve-4-toy` | – | >= 1.0 | – | – | not measured: no uv |" in lines
    found = "| `serve-5-toy` | 12.500 | – | – | 12.500 to 12.500 of 1 | measured, without a goal |"
    assert found in lines


def test_what_people_wrote_around_the_table_stays(tmp_path):
    path = tmp_path / "benchmarks.md"
    path.write_text("# Benchmarks\n\nHow they are measured.\n")
    write_table(path, ROWS, ["first"])
    path.write_text(path.read_text() + "\nWhat follows from them.\n")
    write_table(path, ROWS[:1], ["second"])
    text = path.read_text()
    assert text.startswith("# Benchmarks\n\nHow they are measured.\n")
    assert text.endswith("\nWhat follows from them.\n")
    assert "second" in text
    assert "first" not in text
    assert text.count("| figure |") == 1
    write_table(path, ROWS[:1], ["second"])
    assert path.read_text() == text


def test_figures_that_were_not_measured_again_stay_in_the_table(tmp_path):
    path = tmp_path / "benchmarks.md"
    write_table(path, ROWS, ["first"])
    whole = path.read_text()
    again = BenchRow("serve-2-toy", 0.95, ">= 0.90", "0.9 to 1.0 of 3", "")
    write_table(path, [again], ["first"])
    before = "| `serve-2-toy` | 0.800 | >= 0.90 | **no** | 0.8 to 0.8 of 3 |  |"
    after = "| `serve-2-toy` | 0.950 | >= 0.90 | yes | 0.9 to 1.0 of 3 |  |"
    assert path.read_text() == whole.replace(before, after)
