from pathlib import Path

import pytest

from benchmarks.harness import (
    QUICK,
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    run,
)
from benchmarks.serve.cases import serve_cases


def bench(only=""):
    return Bench([], QUICK, Path("unused"), only)


def test_only_the_figures_that_are_requested_are_measured():
    def measure(_):
        return {"serve-1-toy": Measurement([1.0], ""), "serve-1-toy-p95": Measurement([2.0], "")}

    def never(_):
        raise AssertionError("not requested")

    cases = [
        Case({"serve-1-toy": ">= 1", "serve-1-toy-p95": "<= 1"}, measure),
        Case({"store-1": ">= 1"}, never),
    ]
    assert [row.id for row in run(cases, bench("serve-1"))] == ["serve-1-toy", "serve-1-toy-p95"]
    assert [row.id for row in run(cases, bench("serve-1-toy-p"))] == ["serve-1-toy-p95"]


def test_a_figure_that_fails_is_a_row_without_value_and_costs_no_other():
    def absent(_):
        raise CannotMeasureError("the peer cannot be installed")

    def broken(_):
        raise KeyError("x")

    cases = [
        Case({"a": ">= 1", "b": "<= 1"}, absent),
        Case({"c": ">= 1"}, broken),
        Case({"d": ">= 1"}, lambda _: {"d": Measurement([3.0], "fine")}),
    ]
    rows = run(cases, bench())
    assert [(row.id, row.value) for row in rows] == [
        ("a", None),
        ("b", None),
        ("c", None),
        ("d", 3),
    ]
    assert rows[0].conditions == rows[1].conditions == "not measured: the peer cannot be installed"
    assert "KeyError" in rows[2].conditions


def test_what_is_compared_is_measured_in_turn_and_each_second_time_backwards():
    order = []

    def measure(name):
        order.append(name)
        return len(order)

    assert in_turn(2, lambda: measure("a"), lambda: measure("b")) == [[1, 4], [2, 3]]
    assert order == ["a", "b", "b", "a"]


def test_a_ratio_to_nothing_cannot_be_measured():
    assert ratios([1.0, 3.0], [2.0, 2.0]) == [0.5, 1.5]
    with pytest.raises(CannotMeasureError):
        ratios([1.0], [0.0])


def test_every_figure_has_an_id_of_its_own_and_a_goal_that_can_be_read():
    names = [name for case in serve_cases(["vgg16", "toy"]) for name in case.goals]
    assert len(names) == len(set(names))
    assert {name.split("-")[1] for name in names} == set("1234567")
    for case in serve_cases(["vgg16", "toy"]):
        for goal in case.goals.values():
            sign, number = goal.split(" ")
            assert sign in {">=", "<="}
            float(number)
