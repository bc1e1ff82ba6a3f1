"""What stands around a landmark: light and sky, the ground, and the horizon's backdrop."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from landmarks_tools.sample_gallery.sdf import Field
from landmarks_tools.sample_gallery.surface import Colour, Material, fractal, hashed, noise, smooth

GroundKind: TypeAlias = Literal["grass", "paving", "sand", "water", "gravel", "rock"]
Backdrop: TypeAlias = Literal["hills", "city", "trees", "sea", "desert", "mountains"]
Plant: TypeAlias = Literal["tree", "conifer", "palm", "cypress"]
TimeOfDay: TypeAlias = Literal["noon", "golden", "overcast", "dusk"]
Season: TypeAlias = Literal["spring", "summer", "autumn", "winter"]

Parts: TypeAlias = list[tuple[Field, Material]]
Shape: TypeAlias = Callable[[Field, Field, Field], Parts]


@dataclass(frozen=True)
class Setting:
    """The place: which ground lies at the foot and beyond, and what is seen far away."""

    near: GroundKind = "paving"
    far: GroundKind = "grass"
    apron: float = 1.3  # the near ground reaches this many half extents from the middle
    backdrop: Backdrop = "city"
    plants: tuple[Plant, ...] = ("tree",)
    snow: bool = True
    flood: Colour = (1.0, 0.72, 0.42)  # floodlights after dark
    cave: bool = False


@dataclass(frozen=True)
class Landmark:
    """A landmark: its solids in metres, the box they lie in, and its place."""

    name: str
    shape: Shape
    extent: tuple[float, float, float]  # half width, height, half depth, metres
    setting: Setting
    azimuths: tuple[float, float] = (-180.0, 180.0)  # where most people photograph it from
    elevations: tuple[float, float] = (0.0, 14.0)  # degrees above the horizontal
    fill: float = 1.0  # how much of the frame it takes in an ordinary view
    bounds: tuple[float, float, float] | None = None  # of all solids, where they exceed `extent`


@dataclass(frozen=True)
class Light:
    """Sun and sky; colours are linear light."""

    sun: tuple[float, float, float]  # unit vector to the sun
    sun_colour: Colour
    zenith: Colour
    horizon: Colour
    ambient: float
    haze: float  # share of haze over 1000 m
    clouds: float  # share of the sky
    cloud_colour: Colour
    flood: float  # floodlights and lit windows, 0 by day
    seed: int


# For each time of day: sun, zenith, horizon and cloud colours, ambient, floodlight.
_TIMES: dict[TimeOfDay, tuple[Colour, Colour, Colour, Colour, float, float]] = {
    "noon": ((2.3, 2.15, 1.9), (0.13, 0.29, 0.66), (0.56, 0.71, 0.88), (1.1, 1.1, 1.1), 0.75, 0.0),
    "golden": (
        (2.5, 1.45, 0.68),
        (0.20, 0.30, 0.55),
        (0.98, 0.66, 0.40),
        (1.2, 0.78, 0.55),
        0.62,
        0.0,
    ),
    "overcast": (
        (0.30, 0.30, 0.30),
        (0.52, 0.56, 0.61),
        (0.72, 0.74, 0.76),
        (0.62, 0.64, 0.67),
        1.3,
        0.0,
    ),
    "dusk": (
        (0.10, 0.07, 0.09),
        (0.035, 0.05, 0.15),
        (0.30, 0.19, 0.22),
        (0.14, 0.11, 0.17),
        0.42,
        1.0,
    ),
}


def daylight(
    time: TimeOfDay, azimuth: float, elevation: float, clouds: float, haze: float, seed: int
) -> Light:
    """Return the light at a time of day, the sun at `azimuth` and `elevation` degrees."""
    sun_colour, zenith, horizon, cloud, ambient, flood = _TIMES[time]
    a, e = math.radians(azimuth), math.radians(elevation)
    sun = (math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a))
    return Light(sun, sun_colour, zenith, horizon, ambient, haze, clouds, cloud, flood, seed)


def column(colour: Colour) -> Field:
    """Return a colour as an array (3, 1)."""
    return np.array(colour, np.float32)[:, None]


def sky(direction: Field, light: Light, *, clouds: bool = True) -> Field:
    """Light (3, N) of the sky in each direction (3, N): gradient, glow about the sun, clouds."""
    up = np.clip(direction[1], 0.0, 1.0)
    low = np.exp(-up * 4.5)
    colour = column(light.zenith) * (1.0 - low) + column(light.horizon) * low
    toward = np.clip((direction * column(light.sun)).sum(0), 0.0, 1.0)
    colour = colour + column(light.sun_colour) * (0.12 * toward**8 + 0.35 * toward**120)
    if clouds and light.clouds > 0.02:
        plane = 1.0 / (up + 0.09)
        u = direction[0] * plane * 1.3 + light.seed % 61
        v = direction[2] * plane * 1.3 + light.seed % 53
        thick = fractal(u, v, 4)
        cover = np.clip((thick - (0.80 - 0.55 * light.clouds)) * 4.5, 0.0, 1.0)
        cover = cover * np.clip(up * 9.0, 0.0, 1.0)
        shade = 1.0 - 0.35 * np.clip((thick - 0.55) * 3.0, 0.0, 1.0)
        colour = colour + (column(light.cloud_colour) * shade - colour) * (cover * 0.9)
    result: Field = colour
    return result


# Backdrops as layers from far to near: height and roughness of the ridge in units of elevation
# (tangent), colour, share that haze hides.
_RIDGES: dict[Backdrop, list[tuple[float, float, Colour, float]]] = {
    "hills": [(0.075, 3.0, (0.16, 0.24, 0.16), 0.72), (0.038, 6.0, (0.12, 0.20, 0.08), 0.42)],
    "mountains": [(0.19, 3.2, (0.17, 0.22, 0.25), 0.75), (0.09, 5.0, (0.10, 0.18, 0.10), 0.5)],
    "trees": [(0.040, 7.0, (0.11, 0.17, 0.08), 0.55), (0.032, 40.0, (0.06, 0.12, 0.035), 0.22)],
    "city": [(0.03, 9.0, (0.2, 0.22, 0.2), 0.7)],
    "desert": [(0.022, 5.0, (0.60, 0.45, 0.28), 0.55)],
    "sea": [(0.022, 2.0, (0.15, 0.2, 0.22), 0.8)],
}
# How a season tints leaves and grass.
FOLIAGE: dict[Season, Colour] = {
    "spring": (1.0, 1.15, 0.8),
    "summer": (1.0, 1.0, 1.0),
    "autumn": (2.6, 1.15, 0.7),
    "winter": (1.5, 1.05, 1.3),
}


def horizon(direction: Field, light: Light, setting: Setting, season: Season) -> Field:
    """Return the sky (3, N) with the distant hills, trees or city before it."""
    colour = sky(direction, light)
    flat = np.sqrt(direction[0] ** 2 + direction[2] ** 2) + 1e-6
    rise = direction[1] / flat
    near = np.flatnonzero(rise < 0.3)
    if not near.size:
        return colour
    azimuth, rise = np.arctan2(direction[0][near], direction[2][near]), rise[near]
    hazy = sky(
        np.stack([direction[0][near], rise * 0.0 + 0.03, direction[2][near]]), light, clouds=False
    )
    part = colour[:, near]
    daytime = light.ambient * 0.55 + 0.35 * sum(light.sun_colour) / 3
    for height, rough, tint, veil in _RIDGES[setting.backdrop]:
        ridge = height * (0.25 + 1.1 * fractal(azimuth * rough + 31.0, azimuth * 0.0 + rough, 4))
        green = column(FOLIAGE[season]) if tint[1] > tint[0] else 1.0
        leaves = 0.75 + 0.5 * noise(azimuth * 160.0, rise * 160.0)
        paint = column(tint) * green * daytime * leaves
        part = _over(part, paint + (hazy - paint) * veil, rise - ridge, 0.006)
    if setting.backdrop == "city":
        part = _skyline(part, hazy, azimuth, rise, light, daytime)
        part = _treeline(part, hazy, azimuth, rise, season, daytime)
    colour[:, near] = part
    return colour


def _over(below: Field, paint: Field, edge: Field, width: float) -> Field:
    return below + (paint - below) * smooth(edge, width)


def _skyline(
    part: Field, hazy: Field, azimuth: Field, rise: Field, light: Light, daytime: float
) -> Field:
    """Two rows of houses with windows before the horizon."""
    for row, (width, tall, veil) in enumerate([(0.045, 0.105, 0.42), (0.075, 0.062, 0.13)]):
        u = azimuth * (1.0 / width) + 7.3 * row
        house = np.floor(u)
        kind = hashed(house, house * 0.0 + row + light.seed % 5)
        top = tall * (0.25 + 0.75 * kind * kind)
        tone = 0.22 + 0.4 * hashed(house, house * 0.0 + 40 + row)
        warm = hashed(house, house * 0.0 + 80 + row)
        paint = np.stack([tone, tone * (0.86 + 0.1 * warm), tone * (0.66 + 0.34 * warm)]) * daytime
        pane_u, pane_v = u * 6.0, rise * (110.0 - 20.0 * row)
        pane = (np.abs(pane_u % 1.0 - 0.5) < 0.28) & (np.abs(pane_v % 1.0 - 0.5) < 0.28)
        lamps = hashed(np.floor(pane_u), np.floor(pane_v)) > 0.6
        paint = paint * (1.0 - 0.45 * pane)
        paint = paint + (hazy - paint) * veil
        if light.flood:
            paint = paint + column((0.75, 0.52, 0.25)) * (pane & lamps) * 0.8
        part = _over(part, paint, rise - top, 0.003)
    return part


def _treeline(
    part: Field, hazy: Field, azimuth: Field, rise: Field, season: Season, daytime: float
) -> Field:
    """Close the foot of the skyline with the crowns of park trees."""
    crowns = fractal(azimuth * 38.0 + 5.0, azimuth * 0.0 + 2.0)
    leaves = noise(azimuth * 260.0, rise * 260.0)
    paint = column((0.07, 0.115, 0.04)) * column(FOLIAGE[season]) * daytime * (0.6 + 0.8 * leaves)
    return _over(part, paint + (hazy - paint) * 0.12, rise - 0.004 - 0.026 * crowns, 0.006)


_GROUNDS: dict[GroundKind, Colour] = {
    "grass": (0.105, 0.14, 0.045),
    "paving": (0.33, 0.305, 0.27),
    "sand": (0.38, 0.27, 0.155),
    "water": (0.035, 0.09, 0.11),
    "gravel": (0.46, 0.41, 0.33),
    "rock": (0.27, 0.25, 0.22),
}


def near_ground(landmark: Landmark, x: Field, z: Field) -> NDArray[np.bool_]:
    """Where the near kind of ground lies: a rounded rectangle about the landmark, (N,) bool."""
    hx, _, hz = landmark.extent
    margin = landmark.setting.apron - 1.0
    reach = max(hx, hz) * margin
    dx = np.maximum(np.abs(x) - hx, 0.0)
    dz = np.maximum(np.abs(z) - hz, 0.0)
    path = (np.abs(x) < 0.10 * reach / max(margin, 0.1)) & (np.abs(z) < 6.0 * hz + 2.0 * reach)
    near: NDArray[np.bool_] = (np.sqrt(dx * dx + dz * dz) < reach) | path
    return near


def ground_kind_at(landmark: Landmark, x: float, z: float) -> GroundKind:
    """Return the kind of ground at one place."""
    near = near_ground(landmark, np.full(1, x, np.float32), np.full(1, z, np.float32))
    return landmark.setting.near if near[0] else landmark.setting.far


def ground_colour(
    kind: GroundKind, x: Field, z: Field, footprint: Field, season: Season, *, snow: bool
) -> Field:
    """Reflectance (3, N) of the ground at x, z; `footprint` is what a pixel covers, metres."""
    base = column(_GROUNDS[kind])
    broad = fractal(x * 0.06, z * 0.06)
    fine = fractal(x * 0.9, z * 0.9)
    seen = np.clip(1.5 - footprint, 0.0, 1.0)
    rough = 0.75 + 0.35 * broad + 0.3 * (fine - 0.5) * seen
    if kind == "grass":
        base = base * column(FOLIAGE[season] if season != "autumn" else (1.6, 1.0, 0.7))
        rough = rough + 0.25 * (noise(x * 6.0, z * 6.0) - 0.5) * np.clip(1.2 - footprint * 5, 0, 1)
    elif kind == "paving":
        joint = np.minimum(np.abs(x * 0.5 - np.rint(x * 0.5)), np.abs(z * 0.5 - np.rint(z * 0.5)))
        rough = rough * (1.0 - 0.35 * smooth(joint - 0.04, 0.03) * np.clip(1.3 - footprint, 0, 1))
        rough = rough * (0.92 + 0.16 * hashed(np.rint(x * 0.5), np.rint(z * 0.5)) * seen)
    elif kind == "sand":
        rough = rough + 0.08 * np.sin(x * 1.3 + 6.0 * broad + z * 0.5) * seen
    colour = base * rough
    if snow and kind != "water":
        cover = np.clip((fractal(x * 0.11 + 9.0, z * 0.11) - 0.28) * 5.0, 0.0, 0.92)
        if kind == "paving":
            cover = cover * 0.45
        colour = colour + (column((0.82, 0.85, 0.9)) - colour) * cover
    result: Field = colour
    return result
