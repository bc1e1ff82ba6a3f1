"""Stand trees, people and lamp posts in the scene, or close to the camera as occluders."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from landmarks_tools.sample_gallery.camera import Camera
from landmarks_tools.sample_gallery.cutouts import CUT_OUTS, Style
from landmarks_tools.sample_gallery.scene import (
    FOLIAGE,
    Landmark,
    Light,
    Season,
    column,
    ground_kind_at,
    sky,
)
from landmarks_tools.sample_gallery.sdf import Field
from landmarks_tools.sample_gallery.surface import noise, smooth
from landmarks_tools.sample_gallery.views import View

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class _Prop:
    """A cut-out's kind, place on the ground and height, in metres."""

    kind: str
    x: float
    z: float
    height: float
    seed: int


def plant(
    landmark: Landmark,
    view: View,
    light: Light,
    camera: Camera,
    colour: Field,
    depth: Field,
    visible: Mask,
) -> None:
    """Stand trees about the landmark and people before it, hidden by what is nearer.

    Paints into `colour` (3, H, W) and takes what they cover out of `visible` (H, W).
    """
    rng = np.random.default_rng(view.seed)
    standing = []
    for prop in [*_plants(landmark, rng), *_visitors(landmark, camera, rng)]:
        across, row, far = camera.project(prop.x, 0.0, prop.z)
        # Trees right before the camera would be occluders, which the view chooses by itself.
        if far > (4.0 if prop.kind == "person" else 0.3 * view.distance):
            standing.append(
                (far, prop.kind, across, row, prop.height * camera.focal / far, prop.seed)
            )
    for far, kind, u, v, pixels, seed in sorted(standing, reverse=True):
        veil = min(0.45, 1.0 - math.exp(-far * (light.haze + 0.012) * 1e-3))
        _stamp(kind, (u, v), pixels, seed, light, view.season, colour, visible, depth, far, veil)


def _plants(landmark: Landmark, rng: np.random.Generator) -> Iterator[_Prop]:
    """Grow trees around the landmark, near it and farther out."""
    hx, height, hz = landmark.extent
    reach = max(hx, hz, 0.35 * height)
    kinds = landmark.setting.plants
    for index in range(44 if kinds else 0):
        kind = kinds[int(rng.integers(len(kinds)))]
        angle = rng.uniform(0, 2 * math.pi)
        out = rng.uniform(1.15, 2.4) if index < 20 else rng.uniform(2.4, 5.5)
        x = out * (hx + 0.3 * reach) * math.sin(angle)
        z = out * (hz + 0.3 * reach) * math.cos(angle)
        tall = CUT_OUTS[kind].height * float(rng.uniform(0.8, 1.6))
        seed = int(rng.integers(1 << 31))
        if ground_kind_at(landmark, x, z) != "water":
            yield _Prop(kind, x, z, tall, seed)


def _visitors(landmark: Landmark, camera: Camera, rng: np.random.Generator) -> Iterator[_Prop]:
    """Let people gather between the camera and the landmark."""
    hx, _, hz = landmark.extent
    px, _, pz = camera.position
    for _ in range(int(rng.integers(3, 10))):
        left, aside = rng.uniform(0.1, 0.75), rng.uniform(-0.4, 0.4)
        x, z = left * (px + aside * pz), left * (pz - aside * px)
        seed = int(rng.integers(1 << 31))
        outside = abs(x) > hx * 1.05 or abs(z) > hz * 1.05
        if outside and ground_kind_at(landmark, x, z) != "water":
            yield _Prop("person", x, z, CUT_OUTS["person"].height, seed)


def occlude(landmark: Landmark, view: View, light: Light, colour: Field, visible: Mask) -> None:
    """Put the view's occluder close to the camera, across the picture."""
    size = visible.shape[0]
    rng = np.random.default_rng([view.seed, 1])
    hard = view.difficulty == "occluded"
    side = float(rng.choice([-1.0, 1.0]))
    near = (light, view.season, colour, visible)
    if landmark.setting.cave:
        if hard or view.occluder in ("people", "railing"):
            for _ in range(3 if hard else 1):
                at = size * float(rng.uniform(0.1, 0.9))
                pixels = size * float(rng.uniform(0.5, 0.8))
                _stamp("person", (at, size * 1.12), pixels, int(rng.integers(1 << 31)), *near)
        return
    if view.occluder == "tree":
        tall = size * float(rng.uniform(1.0, 1.3))
        middle = size * (0.5 + side * float(rng.uniform(0.16, 0.3)))
        kind = "palm" if landmark.setting.backdrop == "desert" else "tree"
        _stamp(kind, (middle, size * 1.02), tall, view.seed, *near)
    elif view.occluder == "people":
        for _ in range(7 if hard else 2):
            at = size * float(rng.uniform(0.05, 0.95))
            tall = size * float(rng.uniform(0.4, 0.66) if hard else rng.uniform(0.22, 0.4))
            _stamp("person", (at, size * 1.07), tall, int(rng.integers(1 << 31)), *near)
    elif view.occluder == "lamp":
        at = size * (0.5 + side * float(rng.uniform(0.2, 0.42)))
        _stamp("lamp", (at, size * 1.03), size * float(rng.uniform(0.6, 0.95)), view.seed, *near)
    elif view.occluder == "branch":
        _branch(hard, side, rng, light, view.season, colour, visible)
    elif view.occluder == "railing":
        _railing(rng, light, colour, visible)


def _stamp(
    kind: str,
    foot: tuple[float, float],
    pixels: float,
    seed: int,
    light: Light,
    season: Season,
    colour: Field,
    visible: Mask,
    depth: Field | None = None,
    far: float = 0.0,
    veil: float = 0.0,
) -> None:
    """Paint a cut-out whose foot is at (column, row), `pixels` tall, where nothing is nearer."""
    cut_out = CUT_OUTS[kind]
    half = cut_out.half_width
    size = visible.shape[0]
    left, right = int(foot[0] - half * pixels), int(foot[0] + half * pixels) + 2
    top, bottom = int(foot[1] - 1.04 * pixels), int(foot[1]) + 2
    left, right, top, bottom = max(left, 0), min(right, size), max(top, 0), min(bottom, size)
    if pixels < 2.5 or left >= right or top >= bottom:
        return
    rows, columns = slice(top, bottom), slice(left, right)
    v, u = np.mgrid[top:bottom, left:right].astype(np.float32) + 0.5
    shape = u.shape
    u = ((u - foot[0]) / pixels).ravel().astype(np.float32)
    v = ((foot[1] - v) / pixels).ravel().astype(np.float32)
    alpha, paint = cut_out.paint(
        u, v, Style(np.random.default_rng(seed), season, light.flood > 0.0)
    )
    if pixels < 40:  # thin things fade instead of flickering between pixels
        alpha = alpha * min(1.0, 0.35 + pixels / 60.0)
    bright = light.ambient * 0.75 + 0.42 * sum(light.sun_colour) / 3.0
    warm = np.array(light.sun_colour, np.float32) / max(light.sun_colour)
    paint = np.where(paint > 1.0, paint, paint * (bright * (0.5 + 0.5 * warm))[:, None])
    if veil:
        fog = sky(np.array([[1.0], [0.03], [0.0]], np.float32), light, clouds=False)
        paint = paint + (fog - paint) * veil
    alpha = np.where(v >= 0.0, alpha, 0.0).reshape(shape)
    if depth is not None:
        alpha = alpha * (depth[rows, columns] > far)
    patch = colour[:, rows, columns]
    patch += (paint.reshape(3, *shape) - patch) * alpha
    visible[rows, columns] &= alpha < 0.5


def _branch(
    hard: bool,
    side: float,
    rng: np.random.Generator,
    light: Light,
    season: Season,
    colour: Field,
    visible: Mask,
) -> None:
    """Leaves that hang into the picture from an upper corner."""
    size = visible.shape[0]
    v, u = np.mgrid[0:size, 0:size].astype(np.float32) / size
    u = u if side > 0 else 1.0 - u
    offset = float(rng.uniform(0, 60))
    reach = 0.55 if hard else 0.24
    leaves = noise(u * 34.0 + offset, v * 34.0 + offset)
    clumps = noise(u * 7.0 + offset, v * 7.0)
    edge = (u * 0.75 + v * 1.25) - reach - 0.35 * (clumps - 0.5) + 0.5 * (leaves - 0.5)
    alpha = smooth(edge, 0.05)
    green = np.array((0.06, 0.11, 0.025), np.float32) * np.array(FOLIAGE[season], np.float32)
    bright = light.ambient * 0.7 + 0.3 * sum(light.sun_colour) / 3.0
    paint = green[:, None, None] * (0.35 + 1.3 * noise(u * 70.0, v * 70.0)) * bright
    colour += (paint - colour) * alpha
    visible &= alpha < 0.5


def _railing(rng: np.random.Generator, light: Light, colour: Field, visible: Mask) -> None:
    """Paint a railing before the camera, along the bottom of the picture."""
    size = visible.shape[0]
    v, u = np.mgrid[0:size, 0:size].astype(np.float32) / size
    top = 1.0 - float(rng.uniform(0.10, 0.2))
    step = float(rng.uniform(0.05, 0.09))
    bar = np.maximum(np.abs((u / step) % 1.0 - 0.5) - 0.11, (top - v) / step)
    rail = np.abs(v - top) - 0.011
    alpha = np.maximum(smooth(bar * step, 0.006), smooth(rail, 0.006))
    bright = light.ambient * 0.6 + 0.3 * sum(light.sun_colour) / 3.0
    colour += (column((0.06, 0.065, 0.07))[:, :, None] * bright - colour) * alpha
    visible &= alpha < 0.5
