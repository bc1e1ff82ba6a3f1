"""Samples of streams."""

import numpy as np

from indexer_worker.reservoir import reservoir_sample


def test_a_short_stream_is_sampled_whole_and_in_order():
    assert reservoir_sample(iter(range(5)), 5) == ([0, 1, 2, 3, 4], 5)
    assert reservoir_sample(iter(()), 5) == ([], 0)


def test_samples_are_uniform_and_reproducible():
    chosen, count = reservoir_sample(iter(range(20_000)), 2_000)
    assert count == 20_000
    assert len(set(chosen)) == len(chosen) == 2_000
    assert reservoir_sample(iter(range(20_000)), 2_000)[0] == chosen
    quarters, _ = np.histogram(chosen, bins=4, range=(0, 20_000))
    assert quarters.min() > 400
