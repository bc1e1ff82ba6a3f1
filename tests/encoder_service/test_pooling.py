import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from encoder_service.models.pooling import CentredPool
from encoder_service.runtimes.base import unit_rows
from landmarks.errors import InvalidInputError
from landmarks_tools.training.pooling import (
    clip_directions,
    mutual_neighbours,
    whiten_neighbours,
    whiten_within,
)


def test_features_in_the_middle_count_most():
    pool, rows = CentredPool(2), torch.zeros(2, 2, 7, 7)
    rows[:, 0, 0, 0] = 1  # a corner, the same in both
    rows[0, 1, 3, 3] = 1  # the middle
    rows[1, 1, 6, 6] = 1  # another corner
    middle, corner = pool(rows).detach()
    assert middle[1] > middle[0]
    assert corner[1] == pytest.approx(float(corner[0]), abs=1e-6)


def test_a_strong_channel_counts_less_than_in_a_mean():
    features = torch.ones(1, 2, 7, 7)
    features[:, 0] = 100
    pooled, mean = CentredPool(2)(features)[0].detach(), features.mean(dim=(2, 3))[0]
    assert pooled[0] / pooled[1] == pytest.approx(float(mean[0] / mean[1]) ** 0.65, rel=1e-2)


def test_the_offset_is_subtracted_from_the_unit_vector_and_zero_stays_zero():
    pool, features = CentredPool(3), torch.rand(2, 3, 7, 7)
    features[1] = 0
    plain = pool(features)
    assert torch.allclose(plain[0].norm(), torch.tensor(1.0))
    with torch.no_grad():
        pool.offset.copy_(torch.tensor([0.5, 0.25, 0.0]))
    found = pool(features)
    assert torch.allclose(found[0], plain[0] - pool.offset)
    assert not found[1].any()


def test_the_feature_map_may_have_any_size_and_gradients_are_finite_at_zero():
    pool, features = CentredPool(2), torch.rand(1, 2, 5, 9)
    features[:, 1] = 0
    features.requires_grad_(True)
    normalize(pool(features)).sum().backward()
    assert features.grad.isfinite().all()
    constant = pool(torch.ones(1, 2, 5, 9))
    assert torch.allclose(constant, pool(torch.ones(1, 2, 7, 7)), atol=1e-5)


def test_the_strongest_directions_vary_no_more_than_the_next_and_the_others_as_before():
    generator = np.random.default_rng(0)
    axes = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    spreads = np.array([9.0, 5.0, 2.0, 1.0, 0.5, 0.1])
    found = generator.normal(size=(4_000, 6)) * spreads @ axes.T
    pool = CentredPool(6)
    clip_directions(pool, found.astype(np.float32), 2)
    projected = found @ pool.projection.weight.detach().double().numpy().T
    assert np.cov((projected @ axes).T).diagonal() ** 0.5 == pytest.approx(
        [2.0, 2.0, *spreads[2:]], rel=0.05
    )


def test_directions_in_which_photos_of_a_landmark_differ_count_less():
    generator = np.random.default_rng(0)
    labels = torch.arange(600) % 3
    spreads = np.array([0.05, 3.0, 0.05, 0.05])  # they differ in the second direction
    middles = np.eye(4)[[0, 2, 3]]
    found = middles[labels] + generator.normal(size=(600, 4)) * spreads
    pool = CentredPool(4)
    whiten_within(pool, found.astype(np.float32), labels, 0.1)
    scales = pool.projection.weight.detach().norm(dim=0)
    assert scales[1] < 0.4 * scales[0]
    assert scales[[0, 2, 3]].std() < 0.1 * scales[0]

    behind = CentredPool(4)
    behind.add_projection().weight.data.mul_(torch.tensor([1.0, 2.0, 1.0, 1.0]))
    whiten_within(behind, found.astype(np.float32), labels, 0.1)
    expected = pool.projection.weight * torch.tensor([1.0, 2.0, 1.0, 1.0])
    assert torch.allclose(behind.projection.weight, expected, atol=1e-5)


def test_mutual_neighbours_are_nearest_to_each_other():
    # On a circle: 0 and 1 are close, 2 is nearest to 1 but not the other way round, 3 and 4 close.
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 25.0, 90.0, 95.0]))
    rows = torch.stack([angles.cos(), angles.sin()], dim=1)
    one, other = mutual_neighbours(rows, 1)
    assert list(zip(one.tolist(), other.tolist(), strict=True)) == [(0, 1), (3, 4)]
    one, _ = mutual_neighbours(rows, 50)
    assert len(one) == 10  # all pairs, none with itself


def test_what_differs_between_neighbours_counts_less_without_any_label():
    generator = np.random.default_rng(0)
    middles = np.eye(8)[generator.integers(8, size=600)]
    spreads = np.full(8, 0.02)
    spreads[1] = 0.25  # photos of one thing differ in the second direction
    found = unit_rows((middles + generator.normal(size=(600, 8)) * spreads).astype(np.float32))
    pool = CentredPool(8)
    whiten_neighbours(pool, found, 5, 0.1)
    scales = pool.projection.weight.detach().norm(dim=0)
    others = np.delete(scales.numpy(), 1)
    assert scales[1] < 0.75 * others.min()
    assert others.std() < 0.1 * others.mean()


def test_a_photo_alone_has_no_neighbours_to_learn_from():
    with pytest.raises(InvalidInputError, match="give more photos"):
        whiten_neighbours(CentredPool(4), np.eye(4, dtype=np.float32)[:1], 5, 1.0)
