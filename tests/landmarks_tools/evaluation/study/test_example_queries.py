import numpy as np

from landmarks_tools.evaluation.study.example_queries import choose_queries


def chosen(landmarks, precisions, first_right):
    found = choose_queries(
        landmarks,
        {name: np.array(values) for name, values in precisions.items()},
        {name: np.array(values) for name, values in first_right.items()},
    )
    return [each.query for each in found], [each.why for each in found]


def test_the_studys_own_landmarks_come_first_then_disagreement_then_failures():
    landmarks = ["Big_Ben", "Soreq_Cave", "Atomium", "Moai", "Parthenon"]
    queries, reasons = chosen(
        landmarks,
        {"a": [0.9, 0.5, 0.5, 0.1, 0.2], "b": [0.1, 0.5, 0.5, 0.1, 0.1]},
        {"a": [1, 1, 1, 4, 3], "b": [5, 1, 1, 0, 2]},
    )

    assert queries == [2, 1, 0, 4, 3]
    assert "0.80" in reasons[2]
    assert "2 of 2 encoders" in reasons[4]


def test_no_query_is_shown_twice_and_no_landmark_twice_for_one_reason():
    queries, _ = chosen(["A"] * 6, {"a": [0.9] * 6, "b": [0.1] * 6}, {"a": [1] * 6, "b": [2] * 6})

    assert queries == [0, 1]


def test_encoders_that_are_always_right_and_agree_leave_nothing_to_show_but_the_studys_own():
    queries, _ = chosen(["A", "Atomium"], {"a": [1.0, 1.0]}, {"a": [1, 1]})

    assert queries == [1]
