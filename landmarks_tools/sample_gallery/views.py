"""Which views of a landmark are drawn: camera, light, season and what stands in the way."""

import math
import zlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Season, TimeOfDay

Occluder: TypeAlias = Literal["none", "tree", "branch", "people", "railing", "lamp"]
Difficulty: TypeAlias = Literal["ordinary", "small", "side", "occluded", "cropped"]

_DIFFICULTIES: tuple[Difficulty, ...] = ("occluded", "small", "cropped", "side")
_HALL = 11.0  # metres from the middle of a cave to where visitors can stand
_TIMES: tuple[TimeOfDay, ...] = ("noon", "golden", "overcast", "dusk")
_SEASONS: tuple[Season, ...] = ("spring", "summer", "autumn", "winter")


@dataclass(frozen=True)
class View:
    """One photograph to be taken. Angles in degrees, azimuth 0 = from the front (z)."""

    index: int
    difficulty: Difficulty
    azimuth: float
    elevation: float
    distance: float  # metres from the landmark's middle
    field_of_view: float  # of the frame's height
    aim: tuple[float, float]  # where the landmark's middle lies, in half frames right and up
    time_of_day: TimeOfDay
    season: Season
    sun_azimuth: float
    sun_elevation: float
    clouds: float
    haze: float
    occluder: Occluder
    exposure: float
    warmth: float
    noise: float
    seed: int


def plan_view(landmark: Landmark, index: int, seed: int = 0) -> View:
    """Choose view `index` of a landmark; the same arguments always give the same view.

    Every fourth view is deliberately hard, so that both the gallery and the queries have some.
    """
    name = zlib.crc32(landmark.name.encode())
    rng = np.random.default_rng([seed, name, index])
    hard = index % 4 == 2
    difficulty: Difficulty = "ordinary"
    if hard:
        difficulty = _DIFFICULTIES[(index // 4 + name) % len(_DIFFICULTIES)]
    low, high = landmark.azimuths
    # Stratified over the views, so that twelve of them see the landmark from all around.
    share = ((index * 0.618034 + name % 97 / 97) % 1.0 + rng.uniform(-0.05, 0.05)) % 1.0
    azimuth = low + (high - low) * share
    if difficulty == "side":
        azimuth = (low + high) / 2 + rng.choice([-1, 1]) * ((high - low) / 2 + rng.uniform(15, 40))
    # Most people stand on the ground; a few look down from a roof or a drone.
    lowest, highest = landmark.elevations
    elevation = lowest + (highest - lowest) * rng.random() ** 2
    if rng.random() < 0.12:
        elevation += rng.uniform(6, 14)
    field_of_view = float(rng.choice([24.0, 34.0, 46.0, 58.0]) * rng.uniform(0.9, 1.1))
    fill = landmark.fill * rng.uniform(0.62, 0.98)
    aim = (rng.uniform(-0.16, 0.16), rng.uniform(-0.1, 0.06))
    if difficulty == "small":
        fill, aim = fill * rng.uniform(0.3, 0.42), (rng.uniform(-0.45, 0.45), -0.12)
    elif difficulty == "cropped":
        fill, aim = fill * rng.uniform(1.6, 2.1), (rng.uniform(-0.6, 0.6), rng.uniform(-0.55, 0.1))
    time = _TIMES[int(rng.choice(4, p=[0.40, 0.27, 0.20, 0.13]))]
    season = _SEASONS[int(rng.choice(4, p=[0.25, 0.35, 0.22, 0.18]))]
    sun_elevation = {"noon": rng.uniform(32, 62), "golden": rng.uniform(10, 20)}.get(time, 50.0)
    occluder: Occluder = "none"
    if difficulty == "occluded":
        occluder = ("tree", "people", "branch")[int(rng.integers(3))]
    elif rng.random() < 0.4:
        occluder = ("branch", "lamp", "railing", "people")[int(rng.integers(4))]
    distance = _distance(landmark, azimuth, field_of_view, fill)
    if landmark.setting.cave:
        distance = _HALL * float(rng.uniform(0.45, 1.0))
        field_of_view = float(rng.uniform(46.0, 72.0))
    return View(
        index=index,
        difficulty=difficulty,
        azimuth=_wrapped(azimuth),
        elevation=float(elevation),
        distance=distance,
        field_of_view=field_of_view,
        aim=(float(aim[0]), float(aim[1])),
        time_of_day=time,
        season=season,
        sun_azimuth=float(azimuth + rng.choice([-1, 1]) * rng.uniform(15, 95)),
        sun_elevation=float(sun_elevation),
        clouds={"noon": 0.15, "golden": 0.35, "overcast": 0.9, "dusk": 0.3}[time]
        + float(rng.uniform(-0.1, 0.35)),
        haze=float(rng.choice([0.02, 0.06, 0.15])),
        occluder=occluder,
        exposure=float(2.0 ** rng.uniform(-0.3, 0.3)),
        warmth=float(rng.uniform(-0.06, 0.06)),
        noise=float(rng.choice([0.0, 0.004, 0.010])),
        seed=int(rng.integers(1 << 31)),
    )


def _wrapped(degrees: float) -> float:
    return float((degrees + 180.0) % 360.0 - 180.0)


def _distance(landmark: Landmark, azimuth: float, field_of_view: float, fill: float) -> float:
    """How far away the landmark takes up `fill` of the frame, in height or in width."""
    hx, height, hz = landmark.extent
    a = math.radians(azimuth)
    half_width = hx * abs(math.cos(a)) + hz * abs(math.sin(a))
    depth = hx * abs(math.sin(a)) + hz * abs(math.cos(a))
    half = max(half_width, 0.5 * height)
    return float(half / (math.tan(math.radians(field_of_view / 2)) * fill) + 0.6 * depth)
