from pathlib import Path

from benchmarks.harness import QUICK, Bench, run
from benchmarks.results import row_of
from benchmarks.scale.cases import scale_cases


def names():
    return [name for case in scale_cases() for name in case.goals]


def wanted(only):
    return {name for name in names() if Bench([], QUICK, Path("unused"), only).wants(name)}


def test_every_figure_of_scale_has_an_id_of_its_own():
    assert len(names()) == len(set(names()))
    assert all(name.startswith("scale-") for name in names())


def test_a_size_or_a_storage_can_be_asked_for_by_itself():
    assert wanted("scale-1-10k")
    assert not any("100k" in name for name in wanted("scale-1-10k"))
    assert all("-int8-" in name for name in wanted("scale-1-1m-int8"))


def test_growth_and_the_share_of_memory_have_the_goals_of_the_largest_size():
    goals = {name: goal for case in scale_cases() for name, goal in case.goals.items()}
    assert goals["scale-1-1m-float32-growth-1"] == goals["scale-1-1m-int8-growth-16"] == "<= 3"
    assert goals["scale-1-1m-float32-recall"] == ">= 0.98"
    assert goals["scale-1-1m-memory-share"] == "<= 0.35"


def share(*rows):
    only = "scale-1-1m-memory-share"
    [row] = run(list(scale_cases()), Bench([], QUICK, Path("unused"), only, rows))
    return row


def test_the_share_of_memory_is_that_of_two_figures_that_may_be_of_different_runs():
    float32 = row_of("scale-1-1m-float32-memory-mib", "", [3000.0], "")
    int8 = row_of("scale-1-1m-int8-memory-mib", "", [900.0], "")
    assert share(float32, int8).value == 0.3
    assert share(float32).value is None
    assert "ONLY=scale-1-1m-int8-memory-mib" in share(float32).conditions
