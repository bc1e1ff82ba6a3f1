import numpy as np
import pytest

from landmarks_tools.sample_gallery.landmarks import LANDMARKS
from landmarks_tools.sample_gallery.ray_march import distance
from landmarks_tools.sample_gallery.sdf import Outline, arch, box, capsule, repeat, sphere


def at(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_ball_and_a_box_are_negative_inside_and_zero_on_the_surface() -> None:
    x, zero = at(0.0, 2.0, 5.0), at(0.0, 0.0, 0.0)

    assert sphere(x, zero, zero, 2.0).tolist() == [-2.0, 0.0, 3.0]
    assert box(x, zero, zero, 2.0, 3.0, 4.0).tolist() == [-2.0, 0.0, 3.0]


def test_a_capsule_tapers() -> None:
    x, zero = at(3.0, 3.0), at(0.0, 0.0)

    result = capsule(x, at(0.0, 10.0), zero, (0, 0, 0), (0, 10, 0), 2.0, 1.0)

    assert result.tolist() == pytest.approx([1.0, 2.0])


@pytest.mark.parametrize(("count", "centres"), [(3, (-4.0, 0.0, 4.0)), (2, (-2.0, 2.0))])
def test_repetition_puts_a_copy_at_each_centre(count: int, centres: tuple[float, ...]) -> None:
    assert repeat(at(*centres), 4.0, count).tolist() == pytest.approx([0.0] * count)


def test_an_arch_is_open_below_its_curve_and_closed_above() -> None:
    inside = arch(at(0.0, 0.0, 1.9), at(1.0, 6.5, 6.5), 2.0, 5.0) < 0

    assert inside.tolist() == [True, True, False]


def test_an_outline_reads_the_distance_to_its_polygon() -> None:
    cylinder = Outline.lathe([(2.0, 0.0), (2.0, 6.0), (0.0, 6.0)])

    result = cylinder(at(0.0, 2.0, 3.0, 5.0, 50.0), at(3.0, 3.0, 3.0, 10.0, 3.0))

    assert result[:2].tolist() == pytest.approx([-2.0, 0.0], abs=0.05)
    # Off the table, a lower bound that is not much lower.
    assert 0.8 < result[2] <= 1.0
    assert 3.5 < result[3] <= 5.0
    assert 47.0 < result[4] <= 48.0


@pytest.mark.parametrize("name", sorted(LANDMARKS))
def test_a_landmark_fills_some_of_its_box_and_stays_in_float32(name: str) -> None:
    landmark = LANDMARKS[name]
    hx, height, hz = landmark.bounds or landmark.extent
    rng = np.random.default_rng(0)
    points = rng.uniform([[-1], [0], [-1]], 1, (3, 20_000)).astype(np.float32)
    points *= np.array([[hx], [height], [hz]], np.float32)

    result = distance(landmark, points)

    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert (result < 0).any()
