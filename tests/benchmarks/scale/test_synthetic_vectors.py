import numpy as np
import pytest

from benchmarks.scale.embedding_statistics import drawn_rows, measured, neighbours
from benchmarks.scale.synthetic_vectors import EmbeddingStatistics, SyntheticCollection

TOY = EmbeddingStatistics(
    mean=(0.5,) * 8,
    of_landmarks=(1.0,) * 8,
    of_views=(0.03,) * 8,
    of_photos=(0.07,) * 8,
    photos_per_view=8,
    unevenness=0.25,
)


def test_drawn_vectors_are_unit_rows_as_many_as_asked_for_and_always_the_same():
    drawing = SyntheticCollection(TOY, 1234)
    batches = list(drawing.batches())
    assert [first for first, _ in batches] == [0, 500, 1000]
    rows = np.concatenate([rows for _, rows in batches])
    assert rows.shape == (1234, 8)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(drawn_rows(TOY, 1234, 50), rows)


def test_a_larger_drawing_begins_with_the_smaller_one():
    np.testing.assert_array_equal(drawn_rows(TOY, 1000, 50)[:500], drawn_rows(TOY, 500, 50))


def test_queries_are_further_photos_of_landmarks_in_the_collection():
    drawing = SyntheticCollection(TOY, 2000)
    rows = np.concatenate([rows for _, rows in drawing.batches()])
    queries = drawing.queries(100)
    best = (queries @ rows.T).argmax(axis=1)
    assert len(np.unique(queries, axis=0)) == 100
    shown = np.arange(100) % drawing.landmarks
    same = [drawing.landmark_of(int(n)) == own for n, own in zip(best, shown, strict=True)]
    assert np.mean(same) > 0.9
    assert (queries @ rows.T).max() < 1 - 1e-6  # none is in it
    with pytest.raises(ValueError, match="landmarks"):
        drawing.queries(10_000)


def test_what_is_measured_on_drawn_vectors_draws_vectors_like_them():
    rows = drawn_rows(TOY, 1500, 50)
    again = measured(rows, [str(number // 50) for number in range(1500)])
    assert neighbours(drawn_rows(again, 1500, 50)).away(neighbours(rows)) < 0.05


def test_statistics_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "embedding_statistics.json"
    TOY.save(path)
    assert EmbeddingStatistics.load(path) == TOY


def test_the_statistics_of_this_program_are_of_512_dimensions_and_say_how_near_they_come():
    statistics = EmbeddingStatistics.load()
    assert {len(statistics.mean), len(statistics.of_landmarks), len(statistics.of_views)} == {512}
    assert "real: nearest" in statistics.about
    assert "drawn alike: nearest" in statistics.about


def test_the_intrinsic_dimension_of_a_cloud_is_that_of_the_space_it_fills():
    plane = np.random.default_rng(0).normal(size=(2000, 3)) @ np.eye(3, 64)
    rows = (plane / np.linalg.norm(plane, axis=1, keepdims=True)).astype(np.float32)
    assert neighbours(rows).dimension == pytest.approx(2, abs=0.3)  # a sphere's surface
