import dataclasses

import numpy as np
import pytest

from landmarks_tools.sample_gallery.landmarks import LANDMARKS
from landmarks_tools.sample_gallery.render import Rendering, render
from landmarks_tools.sample_gallery.scene import Landmark
from landmarks_tools.sample_gallery.views import View, plan_view

SIZE = 56


def ordinary(name: str) -> View:
    """A plain view from the front, by day, with nothing in the way."""
    landmark = LANDMARKS[name]
    middle = sum(landmark.azimuths) / 2
    view = plan_view(landmark, 0)
    return dataclasses.replace(
        view,
        difficulty="ordinary",
        azimuth=middle,
        elevation=4.0,
        field_of_view=40.0,
        distance=view.distance if landmark.setting.cave else 2.2 * max(landmark.extent),
        aim=(0.0, 0.0),
        time_of_day="noon",
        season="summer",
        sun_azimuth=middle + 40.0,
        sun_elevation=45.0,
        occluder="none",
        noise=0.0,
    )


def draw(name: str, **changes: object) -> Rendering:
    return render(LANDMARKS[name], dataclasses.replace(ordinary(name), **changes), SIZE)


def test_two_dozen_landmarks_are_drawn_the_atomium_and_the_soreq_cave_among_them() -> None:
    assert len(LANDMARKS) == 24
    assert {"Atomium", "Soreq_Cave", "Eiffel_Tower"} <= set(LANDMARKS)


@pytest.mark.parametrize("name", sorted(LANDMARKS))
def test_an_ordinary_view_shows_the_landmark(name: str) -> None:
    picture = draw(name)

    assert picture.image.shape == (SIZE, SIZE, 3)
    assert picture.image.dtype == np.uint8
    assert 0.015 < picture.prominence < 0.95
    assert picture.image.std() > 10.0


def test_the_same_view_gives_the_same_picture() -> None:
    assert np.array_equal(draw("Atomium").image, draw("Atomium").image)


def test_views_differ_by_index_and_by_seed_and_are_the_same_otherwise() -> None:
    atomium = LANDMARKS["Atomium"]

    assert plan_view(atomium, 3, 7) == plan_view(atomium, 3, 7)
    assert plan_view(atomium, 3, 7) != plan_view(atomium, 4, 7)
    assert plan_view(atomium, 3, 7) != plan_view(atomium, 3, 8)


def test_hard_views_fall_among_the_first_views_and_among_the_last_quarter() -> None:
    hard = [
        index
        for index in range(12)
        if plan_view(LANDMARKS["Big_Ben"], index).difficulty != "ordinary"
    ]

    assert any(index < 9 for index in hard)
    assert any(index >= 9 for index in hard)


@pytest.mark.parametrize("name", ["Atomium", "Taj_Mahal", "Itsukushima_Torii"])
def test_a_nearer_camera_makes_the_landmark_more_prominent(name: str) -> None:
    far = draw(name, distance=4.0 * max(LANDMARKS[name].extent))
    near = draw(name, distance=2.0 * max(LANDMARKS[name].extent))

    assert near.prominence > 2.0 * far.prominence > 0.0


def test_prominence_is_the_share_of_samples_that_show_the_landmark() -> None:
    picture = draw("Big_Ben")

    assert picture.prominence == pytest.approx(picture.landmark.mean())


def test_the_pixels_that_count_are_those_that_change_when_the_landmark_is_taken_away() -> None:
    # Noon without reflections: only the landmark and its shadow can differ from the bare place.
    # The shadow lies on the ground, below the horizon, so the sky alone is compared.
    real = LANDMARKS["Space_Needle"]
    view = dataclasses.replace(ordinary("Space_Needle"), elevation=0.0)

    def nothing(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> list[object]:
        return [(np.full_like(x, 1e3), real.shape(x[:1], y[:1], z[:1])[0][1])]

    bare: Landmark = dataclasses.replace(real, shape=nothing)
    with_it, without = render(real, view, SIZE), render(bare, view, SIZE)
    changed = np.abs(with_it.image.astype(int) - without.image).max(axis=2) > 12
    fine = with_it.landmark.shape[0]
    rows = (np.arange(SIZE) * fine) // SIZE
    claimed = with_it.landmark[np.ix_(rows, rows)]
    sky = slice(0, SIZE // 2)

    assert claimed[sky].sum() > 40
    assert (changed[sky] == claimed[sky]).mean() > 0.95
    assert without.prominence == 0.0


def test_an_occluder_takes_pixels_from_the_landmark_and_says_how_many() -> None:
    free = draw("Taj_Mahal")
    hidden = draw("Taj_Mahal", occluder="tree", difficulty="occluded")

    assert hidden.occluded > free.occluded + 0.05
    assert hidden.prominence < free.prominence


def test_dusk_is_darker_than_noon_and_snow_lies_in_winter() -> None:
    noon, dusk = draw("Stonehenge"), draw("Stonehenge", time_of_day="dusk")
    winter = draw("Stonehenge", season="winter")

    assert dusk.image.mean() < 0.7 * noon.image.mean()
    ground = (slice(-8, None), slice(None))
    assert winter.image[ground].mean() > 1.2 * noon.image[ground].mean()
