import numpy as np
import pytest

from landmarks.retrieval.clusters import NOBODY, clusters_on_map, kappa, low_purity
from landmarks.retrieval.projection import nearest, purity, tsne_map


def blobs(landmarks: int = 4, photos: int = 15, spread: float = 0.05, seed: int = 0):
    """Unit rows around one direction per landmark, and their labels."""
    rng = np.random.default_rng(seed)
    centres = np.eye(landmarks, 16)
    rows = np.repeat(centres, photos, axis=0) + rng.normal(0, spread, (landmarks * photos, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), np.repeat(np.arange(landmarks), photos)


def test_separate_clusters_are_pure_in_the_embedding_and_on_a_trustworthy_map():
    vectors, labels = blobs()

    drawn = tsne_map(vectors)

    assert np.all(purity(nearest(vectors, 10, cosine=True), labels) == 1)
    assert np.all(purity(nearest(drawn.points, 10, cosine=False), labels) == 1)
    assert drawn.trustworthiness > 0.9


def test_purity_of_labels_without_meaning_is_about_chance():
    vectors, labels = blobs(photos=40)
    shuffled = np.random.default_rng(1).permutation(labels)

    assert np.mean(purity(nearest(vectors, 10, cosine=True), shuffled)) == pytest.approx(
        0.25, abs=0.06
    )


def test_a_landmark_of_few_photos_is_judged_by_as_many_as_it_has_and_of_one_not_at_all():
    labels = np.array([0, 0, 0, 1])
    neighbours = np.array([[1, 2, 3], [0, 2, 3], [3, 1, 0], [0, 1, 2]])

    shares = purity(neighbours, labels)

    assert shares[:3].tolist() == [1, 1, 1]
    assert np.isnan(shares[3])
    assert low_purity(np.array([np.nan, 0.4, 0.5])).tolist() == [False, True, False]


def test_a_photo_is_no_neighbour_of_itself_and_the_first_of_equals_comes_first():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [5.0, 0.0]])

    found = nearest(points, 10, cosine=False)

    assert found.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [1, 0, 2]]


def test_a_map_drawn_twice_is_the_same_to_the_last_bit_and_fits_the_unit_square():
    vectors, _ = blobs(spread=0.3)

    one, again = tsne_map(vectors, seed=3), tsne_map(vectors, seed=3)

    assert one.points.tobytes() == again.points.tobytes()
    assert one.points.min() >= 0
    assert one.points.max() <= 1
    assert np.ptp(one.points, axis=0).max() == pytest.approx(1)


@pytest.mark.parametrize("count", [4, 5, 31])
def test_the_perplexity_of_a_tiny_collection_is_limited(count: int):
    vectors, _ = blobs(1, count)

    drawn = tsne_map(vectors)

    assert drawn.perplexity <= (count - 1) / 3
    assert np.all(np.isfinite(drawn.points))


def test_photos_that_are_all_alike_can_be_mapped_and_three_photos_cannot():
    same = np.tile(np.array([[1.0, 0.0]], np.float32), (8, 1))

    assert np.all(np.isfinite(tsne_map(same).points))
    with pytest.raises(ValueError, match="4 photos"):
        tsne_map(same[:3])


def test_dense_groups_are_clusters_and_photos_far_from_all_are_in_none():
    rng = np.random.default_rng(0)
    groups = [rng.normal(centre, 0.01, (12, 2)) for centre in ((0, 0), (1, 0), (0, 1))]
    points = np.concatenate([*groups, [(3, 3), (-3, 2), (2, -3)]])
    labels = np.array([*np.repeat([0, 1, 2], 12), 0, 1, 2])

    clusters = clusters_on_map(points, labels)

    assert clusters.owner_of.tolist() == [*np.repeat([0, 1, 2], 12), *[NOBODY] * 3]
    assert np.flatnonzero(clusters.outside).tolist() == [36, 37, 38]
    assert [len(clusters.compact[landmark]) for landmark in range(3)] == [12, 12, 12]


def test_a_dense_group_of_many_landmarks_is_no_landmarks_cluster():
    rng = np.random.default_rng(0)
    groups = [rng.normal(centre, 0.01, (12, 2)) for centre in ((0, 0), (1, 0), (0, 1))]
    labels = np.array([*np.repeat([0, 1], 12), *np.tile([0, 1, 2, 3], 3)])

    clusters = clusters_on_map(np.concatenate(groups), labels)

    assert np.flatnonzero(clusters.outside).tolist() == list(range(24, 36))


def test_a_photo_in_the_cluster_of_another_landmark_is_in_a_cluster():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(centre, 0.01, (12, 2)) for centre in ((0, 0), (1, 0))])
    labels = np.repeat([0, 1], 12)
    labels[3] = 1

    clusters = clusters_on_map(points, labels)

    assert clusters.owner_of[3] == 0
    assert not clusters.outside.any()


def test_a_landmark_of_many_photos_does_not_fall_apart_beside_small_ones():
    rng = np.random.default_rng(0)
    small = [rng.normal((x, 0), 0.02, (8, 2)) for x in range(6)]
    points = np.concatenate([*small, rng.normal((3, 3), 0.3, (400, 2))])
    labels = np.array([*np.repeat(np.arange(6), 8), *[6] * 400])

    clusters = clusters_on_map(points, labels)

    assert clusters.sizes == (4, 8, 16, 32, 64, 128)
    assert clusters.outside.mean() < 0.1
    assert sorted(clusters.compact) == list(range(7))


def test_too_few_photos_for_a_cluster_are_all_in_none():
    clusters = clusters_on_map(np.zeros((2, 2)), np.array([0, 1]))

    assert not clusters.compact
    assert clusters.outside.all()


def test_agreement_beyond_chance_is_one_for_the_same_and_undefined_for_unanimity():
    some = np.array([True, False, True, False])

    assert kappa(some, some) == 1
    assert kappa(some, ~some) == -1
    assert np.isnan(kappa(np.zeros(3, bool), np.zeros(3, bool)))
