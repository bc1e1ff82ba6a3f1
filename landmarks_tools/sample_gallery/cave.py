"""Light inside a cave: lamps of warm colours between the formations."""

import math

import numpy as np

from landmarks_tools.sample_gallery.ray_march import openness
from landmarks_tools.sample_gallery.scene import Landmark, column
from landmarks_tools.sample_gallery.sdf import Field, length
from landmarks_tools.sample_gallery.surface import Colour
from landmarks_tools.sample_gallery.views import View

_COLOURS: tuple[Colour, ...] = (
    (1.0, 0.62, 0.25),
    (1.0, 0.42, 0.12),
    (1.0, 0.78, 0.48),
    (0.95, 0.35, 0.30),
    (0.55, 0.75, 0.60),
)


def light(landmark: Landmark, view: View, point: Field, normal: Field, albedo: Field) -> Field:
    """Light (3, N) that the lamps throw on points (3, N); each view has its own mix of colours.

    The lamps stand where they are in every view, as the guides leave them; only their brightness
    changes.
    """
    rng = np.random.default_rng(view.seed)
    total = column((0.10, 0.07, 0.05)) * np.ones_like(point[0])
    for index in range(9):
        angle = index * 2.399963 + 0.4  # the golden angle spreads them evenly
        out = 4.0 + 1.25 * index
        x, z = out * math.sin(angle), out * math.cos(angle)
        y = 1.2 if index % 3 else 5.0
        power = float(rng.uniform(2.0, 20.0))
        to = (x - point[0], y - point[1], z - point[2])
        far = length(*to) + 0.3
        facing = (to[0] * normal[0] + to[1] * normal[1] + to[2] * normal[2]) / far
        # Calcite lets light through: it wraps around the formations.
        wrapped = np.clip(0.6 * facing + 0.4, 0.0, 1.0)
        total = total + column(_COLOURS[index % 5]) * (power * wrapped / (far * far + 1.5))
    result: Field = albedo * total * openness(landmark, point, normal)
    return result
