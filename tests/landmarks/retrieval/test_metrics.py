"""Retrieval metrics: rankings made by hand, and scikit-learn where its definition is the same."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from landmarks.errors import InvalidInputError
from landmarks.retrieval import metrics
from landmarks.retrieval.metrics import (
    average_precision,
    bootstrap_interval,
    estimate,
    evaluate,
    evaluate_rankings,
    rank,
)


def flags(*relevant: int) -> np.ndarray:
    return np.array(relevant, dtype=bool)


def unit(rows: Sequence[Sequence[float]]) -> np.ndarray:
    array = np.asarray(rows, dtype=np.float64)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)


def random_rows(count: int, seed: int, dimension: int = 16) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


@pytest.mark.parametrize(
    ("relevant", "expected"),
    [
        (flags(1, 0, 1, 0, 0, 1), (1 + 2 / 3 + 3 / 6) / 3),
        (flags(1, 1, 0, 0), 1.0),
        (flags(0, 0, 0, 1), 0.25),
    ],
)
def test_average_precision_is_the_mean_precision_at_the_relevant_ranks(
    relevant: np.ndarray, expected: float
) -> None:
    assert average_precision(relevant) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("relevant", "depth", "expected"),
    [
        (flags(1, 0, 1, 1), 2, 1 / 2),  # three relevant, and no more than two can be found
        (flags(0, 1, 0, 0, 1), 3, (1 / 2) / 2),  # the second lies too deep, and counts as missed
        (flags(0, 0, 0, 1), 3, 0.0),
        (flags(*[1] * 150), 100, 1.0),
        (flags(1, 0, 1), 100, (1 + 2 / 3) / 2),
    ],
)
def test_to_a_depth_the_sum_is_divided_by_as_many_as_could_be_found(
    relevant: np.ndarray, depth: int, expected: float
) -> None:
    assert average_precision(relevant, depth) == pytest.approx(expected, abs=1e-15)


def test_relevant_photos_that_a_ranking_lacks_count_as_never_found() -> None:
    assert average_precision(flags(1, 0), total=4) == 0.25
    assert average_precision(flags(0, 0), total=4) == 0.0


def test_where_nothing_is_relevant_there_is_no_average_precision() -> None:
    with pytest.raises(InvalidInputError, match="no photo is relevant"):
        average_precision(flags(0, 0))


@given(st.lists(st.booleans(), min_size=1, max_size=60).filter(any))
def test_average_precision_is_that_of_scikit_learn(relevant: list[bool]) -> None:
    scores = -np.arange(len(relevant), dtype=np.float64)
    expected = average_precision_score(relevant, scores)
    assert average_precision(np.array(relevant)) == pytest.approx(expected, abs=1e-12)


def test_photos_of_equal_score_keep_the_gallery_order() -> None:
    gallery = unit([[0, 1], [1, 1], [1, 0], [1, 1], [1, 1]])
    [order] = rank(gallery, unit([[1, 1]]))
    assert order.tolist() == [1, 3, 4, 0, 2]


@pytest.mark.parametrize("asked", [1, 2, 3, 33])
def test_the_same_photo_many_times_ties_wherever_it_stands(asked: int) -> None:
    """Sums in float32 differ in the last bit between places of a matrix, by how many are asked."""
    gallery = np.concatenate([random_rows(1, 0, 512)] * 10 + [random_rows(13, 1, 512)])
    shuffled = np.random.default_rng(2).permutation(len(gallery))
    copies = np.flatnonzero(shuffled < 10)
    for order in rank(gallery[shuffled], random_rows(asked, 3, 512)):
        places = np.flatnonzero(np.isin(order, copies))
        assert order[places].tolist() == copies.tolist()


def test_many_queries_are_ranked_in_blocks_as_one_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, queries = random_rows(50, 4), random_rows(23, 5)
    whole = np.stack(list(rank(gallery, queries)))
    monkeypatch.setattr(metrics, "_BLOCK_SCORES", 100)
    np.testing.assert_array_equal(np.stack(list(rank(gallery, queries))), whole)


def test_every_figure_is_that_of_the_rankings_made_by_hand() -> None:
    gallery = ["a", "b", "a", "c"]
    result = evaluate_rankings([[0, 2, 1, 3], [0, 1, 2, 3], [1, 0, 2, 3]], gallery, ["a", "b", "c"])
    np.testing.assert_allclose(result.average_precisions, [1, 1 / 2, 1 / 4])
    assert result.mean_average_precision.value == pytest.approx(7 / 12)
    assert result.mean_average_precision_at_100.value == pytest.approx(7 / 12)
    assert result.recall_at_1.value == pytest.approx(1 / 3)
    assert result.recall_at_5.value == 1
    assert result.first_right.tolist() == [1, 2, 4]
    assert result.nearest.tolist() == [[0, 2, 1, 3], [0, 1, 2, 3], [1, 0, 2, 3]]
    assert (result.queries, result.gallery, result.left_out) == (3, 4, 0)
    assert result.confusions == {("b", "a"): 1, ("c", "b"): 1}
    assert result.landmarks["b"] == metrics.LandmarkFigures(1, 0.5, 0.0)
    assert list(result.figures) == ["mAP", "mAP@100", "R@1", "R@5"]


def test_recall_at_5_ends_at_the_fifth_place() -> None:
    gallery = ["x", "x", "x", "x", "a", "b"]
    result = evaluate_rankings([range(6), range(6)], gallery, ["a", "b"])
    assert result.first_right.tolist() == [5, 6]
    assert result.recall_at_5.value == 0.5


def test_queries_without_a_right_answer_are_counted_and_not_scored() -> None:
    result = evaluate_rankings([[0, 1]] * 3, ["a", "b"], ["a", "unknown", "b"])
    assert (result.queries, result.left_out) == (2, 1)
    assert result.scored.tolist() == [0, 2]
    assert result.mean_average_precision.value == pytest.approx(0.75)
    with pytest.raises(InvalidInputError, match="no query's landmark"):
        evaluate_rankings([[0, 1]], ["a", "b"], ["unknown"])


def test_a_query_of_the_gallery_itself_is_not_compared_with_itself() -> None:
    rows = unit([[1, 0], [1, 0.1], [0, 1], [1, 1]])
    labels = ["a", "a", "b", "c"]
    itself = [(place,) for place in range(4)]
    result = evaluate(rows, labels, rows, labels, left_out=itself)
    assert result.scored.tolist() == [0, 1]  # the only photos of b and c have nothing to find
    assert result.left_out == 2
    assert result.nearest[:, 0].tolist() == [1, 0]
    assert result.recall_at_1.value == 1
    with pytest.raises(InvalidInputError, match="no query's landmark"):
        evaluate(rows[2:], labels[2:], rows[2:], labels[2:], left_out=itself[:2])


def test_a_ranking_that_lacks_photos_is_scored_against_the_whole_gallery() -> None:
    result = evaluate_rankings([[0], [1], []], ["a", "a"], ["a", "a", "a"])
    assert result.average_precisions.tolist() == [0.5, 0.5, 0.0]
    assert result.first_right.tolist() == [1, 1, 0]
    assert result.nearest.tolist() == [[0, -1], [1, -1], [-1, -1]]
    assert result.confusions == {}


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 12), st.integers(1, 5))
def test_vectors_and_their_rankings_give_the_figures_of_the_definition(
    seed: int, size: int, asked: int, landmarks: int
) -> None:
    random = np.random.default_rng(seed)
    gallery, queries = random_rows(size, seed), random_rows(asked, seed + 1)
    names = [f"landmark {n}" for n in random.integers(0, landmarks, size)]
    truths = [names[n] for n in random.integers(0, size, asked)]
    result = evaluate(gallery, names, queries, truths)
    for place, query in enumerate(queries):
        order = np.argsort(-(gallery @ query))
        right = [names[n] == truths[place] for n in order]
        precisions = [sum(right[: n + 1]) / (n + 1) for n in range(size) if right[n]]
        assert result.average_precisions[place] == pytest.approx(np.mean(precisions))
        assert result.first_right[place] == right.index(True) + 1
    for each in result.figures.values():
        assert 0 <= each.low <= each.high <= 1


def test_an_interval_is_the_same_each_time_and_that_of_the_normal_law_for_many_values() -> None:
    values = np.random.default_rng(6).normal(0.5, 0.2, 1124)
    low, high = bootstrap_interval(values, seed=1)
    assert (low, high) == bootstrap_interval(values, seed=1)
    assert (low, high) != bootstrap_interval(values, seed=2)
    half = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose([low, high], values.mean() + np.array([-half, half]), atol=half / 10)


def test_an_interval_of_equal_values_is_a_point() -> None:
    assert estimate([True, True, True]) == metrics.Estimate(1, 1, 1)


def test_an_interval_in_blocks_covers_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(7).random(50)
    whole = bootstrap_interval(values, seed=0)
    monkeypatch.setattr(metrics, "_BLOCK_SCORES", 7 * 50)
    np.testing.assert_allclose(bootstrap_interval(values, seed=0), whole, atol=1e-12)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0]]], ids=["none", "NaN", "a matrix"])
def test_an_interval_needs_a_row_of_finite_values(values: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="finite"):
        bootstrap_interval(values, seed=0)


def test_vectors_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="cannot be compared"):
        evaluate(random_rows(2, 0, 3), ["a"] * 2, random_rows(1, 0, 4), ["a"])
    with pytest.raises(InvalidInputError, match="one landmark"):
        evaluate(random_rows(2, 0), ["a"], random_rows(1, 0), ["a"])
