"""The Soreq cave: stalactites, stalagmites, columns and curtains."""

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Parts, Setting
from landmarks_tools.sample_gallery.sdf import Field, length
from landmarks_tools.sample_gallery.surface import Material, Surface, hashed, noise

_HALL = 17.0  # metres from the middle to the wall


def _stripes(surface: Surface) -> Field:
    """Flowstone: upright streaks of iron-coloured calcite and level growth rings."""
    x, y, z = surface.position
    streak = noise(x * 3.1 + z * 2.3, y * 0.25 + 5.0)
    rings = 0.5 + 0.5 * np.sin(y * 7.0 + 4.0 * noise(x, z))
    result: Field = np.clip(0.75 * streak + 0.3 * rings, 0.0, 1.0)
    return result


_CALCITE = Material((0.86, 0.74, 0.55), (0.52, 0.29, 0.13), _stripes, grain=0.2, grain_size=0.5)
_ROCK = Material(
    (0.40, 0.29, 0.20), (0.20, 0.13, 0.09), _stripes, grain=0.5, grain_size=1.1, landmark=False
)


def _spikes(
    x: Field,
    z: Field,
    drop: Field,
    cell: float,
    long: float,
    thick: float,
    salt: float,
    share: float,
) -> Field:
    """Cones, one in each cell of a grid for a share of the cells, `drop` metres from their root."""
    i, j = np.rint(x * (1.0 / cell)), np.rint(z * (1.0 / cell))
    size = hashed(i + salt, j)
    jitter = 0.28 * cell
    u = x - cell * i - jitter * (2.0 * hashed(i, j + salt) - 1.0)
    w = z - cell * j - jitter * (2.0 * hashed(i + 31.0, j + salt) - 1.0)
    tall = long * (0.25 + 0.75 * size * size)
    ripple = 1.0 + 0.12 * np.sin(drop * (9.0 / thick * 0.3) + 9.0 * size)
    radius = thick * (0.4 + 0.6 * size) * np.maximum(1.0 - drop / tall, 0.0) ** 0.7 * ripple
    cone = np.maximum(length(u, w) - radius, drop - tall) * 0.75
    edge = np.minimum(0.5 * cell - np.abs(x - cell * i), 0.5 * cell - np.abs(z - cell * j))
    present = hashed(i + 57.0, j + salt) < share
    result: Field = np.where(present, np.minimum(cone, np.maximum(edge, 0.0) + 0.2), edge + 0.15)
    return result


def _soreq(x: Field, y: Field, z: Field) -> Parts:
    swell = np.sin(x * 0.42 + 0.8) * np.sin(z * 0.37)
    fine = np.sin(x * 2.1 + z) * np.sin(z * 1.9 - y) * 0.13
    ceiling = 8.2 + 1.1 * swell + fine
    floor = 0.65 + 0.45 * np.sin(x * 0.5) * np.sin(z * 0.55 + 1.0) + fine
    wall = _HALL - length(x, z) + 1.4 * np.sin(x * 0.6 + y * 0.5) * np.sin(z * 0.7) + fine * 2.0
    rock = np.minimum(np.minimum(ceiling - y, y - floor), wall) * 0.75
    hang, rise = ceiling - y, y - floor
    stalactites = np.minimum(
        _spikes(x, z, hang, 1.25, 3.6, 0.30, 3.0, 0.85),
        _spikes(x, z, hang, 0.55, 1.3, 0.10, 8.0, 0.9),
    )
    stalagmites = _spikes(x + 0.6, z, rise, 2.1, 3.2, 0.55, 15.0, 0.5)
    # Columns: where a stalactite and a stalagmite have met.
    cell = 5.6
    i, j = np.rint(x / cell), np.rint(z / cell)
    u, w = x - cell * i - 0.8 * np.sin(i * 5.0 + j), z - cell * j - 0.8 * np.sin(j * 3.0 + i * 2.0)
    waist = (y - 4.4) * 0.27
    girth = 0.34 + 0.25 * hashed(i + 2.0, j) + waist * waist * 0.6 + 0.07 * np.sin(y * 5.0)
    columns = (length(u, w) - girth - 0.05 * np.sin(np.arctan2(u, w) * 7.0)) * 0.7
    clear = (np.abs(i) + np.abs(j) == 0) | (hashed(i + 70.0, j) > 0.72)
    columns = np.where(clear, 1.2, np.minimum(columns, 1.2))
    # Curtains: thin wavy sheets that hang along cracks of the ceiling.
    sheet = z - 3.4 * np.sin(x * 0.35) - 0.35 * np.sin(x * 2.6) - 4.0
    lower = 1.9 + 1.1 * np.sin(x * 0.8) + 0.35 * np.sin(x * 3.1)
    curtain = np.maximum(np.abs(sheet) * 0.5 - 0.07, hang - lower)
    sheet = x + 2.8 * np.sin(z * 0.4) + 0.3 * np.sin(z * 2.9) + 5.5
    lower = 1.6 + 1.0 * np.sin(z * 0.7 + 1.0) + 0.3 * np.sin(z * 2.7)
    curtain = np.minimum(curtain, np.maximum(np.abs(sheet) * 0.5 - 0.07, hang - lower))
    formations = np.minimum(np.minimum(stalactites, stalagmites), np.minimum(columns, curtain))
    return [(formations, _CALCITE), (rock, _ROCK)]


SOREQ_CAVE = Landmark(
    "Soreq_Cave",
    _soreq,
    (19.0, 9.8, 19.0),
    Setting("rock", "rock", 1.0, "hills", (), snow=False, cave=True),
    elevations=(0.0, 6.0),
)
