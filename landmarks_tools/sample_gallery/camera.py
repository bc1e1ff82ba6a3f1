"""The camera: where it stands, and the ray through each pixel."""

import math
from dataclasses import dataclass

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark
from landmarks_tools.sample_gallery.sdf import Field
from landmarks_tools.sample_gallery.views import View

_EYE = 1.7  # metres


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without roll."""

    position: tuple[float, float, float]  # metres
    basis: Field  # (3, 3): its right, up and forward as rows
    focal: float  # pixels
    size: int  # pixels
    shift: tuple[float, float]  # of the picture, in half frames right and up
    rays: Field  # (3, size²): unit directions, row by row from the top

    @property
    def pixel(self) -> float:
        """The angle of a pixel in the middle, radians."""
        return 1.0 / self.focal

    def project(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Pixel column and row of a point, and its metres in front of the camera."""
        offset = np.array([x, y, z], np.float32) - np.array(self.position, np.float32)
        right, up, forward = (float(value) for value in self.basis @ offset)
        depth = max(forward, 1e-3)
        middle = 0.5 * self.size
        return (
            middle * (1.0 + self.shift[0]) + self.focal * right / depth,
            middle * (1.0 - self.shift[1]) - self.focal * up / depth,
            forward,
        )


def aim_camera(landmark: Landmark, view: View, size: int) -> Camera:
    """Set up the camera of a view for size × size pixels."""
    a, e = math.radians(view.azimuth), math.radians(view.elevation)
    middle = 0.5 * landmark.extent[1]
    position = (
        view.distance * math.cos(e) * math.sin(a),
        max(_EYE, view.distance * math.sin(e)),
        view.distance * math.cos(e) * math.cos(a),
    )
    if landmark.setting.cave:  # stay between floor and ceiling
        position = (position[0], min(_EYE + 0.8 + view.elevation * 0.25, 4.0), position[2])
    focal = 0.5 * size / math.tan(math.radians(view.field_of_view / 2))
    forward = np.array([-position[0], middle - position[1], -position[2]], np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    # The landmark's middle goes to `aim`: shift the picture rather than turn the camera, which
    # keeps upright lines as upright as they were (as a shift lens does).
    pixel = (np.arange(size) + 0.5) / size * 2.0 - 1.0
    u, v = np.meshgrid(pixel - view.aim[0], -pixel - view.aim[1])
    half = 0.5 * size / focal
    rays = forward[:, None] + right[:, None] * (u.ravel() * half) + up[:, None] * (v.ravel() * half)
    rays /= np.linalg.norm(rays, axis=0)
    basis = np.stack([right, up, forward]).astype(np.float32)
    return Camera(position, basis, focal, size, view.aim, rays.astype(np.float32))
