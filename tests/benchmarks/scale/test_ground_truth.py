from uuid import UUID

import numpy as np
import pytest

from benchmarks.scale.ground_truth import nearest, recall
from benchmarks.scale.memory import disk_bytes


def test_exact_hits_are_the_nearest_of_all_batches():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(300, 8)).astype(np.float32)
    queries = generator.normal(size=(7, 8)).astype(np.float32)
    batches = [(first, rows[first : first + 100]) for first in (0, 100, 200)]
    found = nearest(queries, batches, 5)
    wanted = np.argsort(-(queries @ rows.T), axis=1)[:, :5]
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(wanted, axis=1))


def test_exact_hits_keep_to_what_a_query_may_find_and_say_where_there_is_nothing():
    rows = np.eye(4, dtype=np.float32)
    found = nearest(rows[:2], [(10, rows)], 2, lambda own: np.stack([own == 13, own < 0]))
    assert sorted(found[0]) == [-1, 13]
    assert list(found[1]) == [-1, -1]


def test_recall_is_the_share_of_what_there_is_to_find():
    one, two, three = (UUID(int=n) for n in range(3))
    assert recall([[one, three], [two]], [frozenset({one, two}), frozenset({two})]) == 2 / 3
    with pytest.raises(ValueError, match="nothing"):
        recall([[one]], [frozenset()])


def test_holes_of_files_take_no_disk(tmp_path):
    (tmp_path / "folder").mkdir()
    with (tmp_path / "folder" / "file").open("wb") as file:
        file.write(b"x" * 100_000)
        file.truncate(100_000_000)
    assert 100_000 <= disk_bytes(tmp_path) < 1_000_000
