"""Cut-outs: flat pictures of trees, people and lamp posts, painted by formula."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from landmarks_tools.sample_gallery.scene import FOLIAGE, Season, column
from landmarks_tools.sample_gallery.sdf import Field
from landmarks_tools.sample_gallery.surface import noise, smooth


@dataclass(frozen=True)
class Style:
    """What makes one cut-out differ from the next of its kind."""

    rng: np.random.Generator
    season: Season
    dark: bool  # lamps burn


# Paints (alpha (N,), reflectance (3, N)) for u across and v up, in units of its height.
Paint: TypeAlias = Callable[[Field, Field, Style], tuple[Field, Field]]


@dataclass(frozen=True)
class CutOut:
    """A kind of cut-out, its half width in units of its height, and its usual height in metres."""

    paint: Paint
    half_width: float
    height: float


_BARK = (0.10, 0.07, 0.045)


def _tree(u: Field, v: Field, style: Style) -> tuple[Field, Field]:
    """Paint a broad-leaved tree: a dozen clumps of leaves on a trunk, bare and thin in winter."""
    crown = np.full_like(u, 9.0)
    shade = np.zeros_like(u)
    side = float(style.rng.choice([-1.0, 1.0]))
    for _ in range(11):
        angle, out = style.rng.uniform(0, 2 * math.pi), math.sqrt(style.rng.random())
        cx, cy = 0.25 * out * math.cos(angle), 0.66 + 0.22 * out * math.sin(angle)
        radius = float(style.rng.uniform(0.09, 0.15))
        clump = np.sqrt((u - cx) ** 2 + (v - cy) ** 2) - radius
        lighter = 0.5 + ((v - cy) + side * (u - cx) * 0.6) * (0.45 / radius)
        shade = np.where(clump < crown, lighter, shade)
        crown = np.minimum(crown, clump)
    offset = float(style.rng.uniform(0, 50))
    leaves = noise(u * 42.0 + offset, v * 42.0)
    sparse = 0.16 if style.season == "winter" else 0.05
    crown = crown + sparse * (leaves - 0.35)
    trunk = np.maximum(np.abs(u - 0.02 * np.sin(v * 9.0)) - (0.032 - 0.012 * v), v - 0.62)
    green = np.array((0.085, 0.16, 0.03), np.float32) * np.array(FOLIAGE[style.season], np.float32)
    if style.season == "winter":
        green = np.array((0.16, 0.13, 0.10), np.float32)
    colour = green[:, None] * (0.35 + 0.9 * np.clip(shade, 0.0, 1.2)) * (0.6 + 0.8 * leaves)
    alpha = smooth(crown, 0.025)
    wood = smooth(trunk, 0.012) * (1.0 - alpha)
    return np.maximum(alpha, wood), colour + (column(_BARK) - colour) * (wood > alpha)


def _conifer(u: Field, v: Field, _: Style) -> tuple[Field, Field]:
    jag = 0.05 * np.abs((v * 9.0 + 0.5 * np.abs(u) * 12.0) % 1.0 - 0.5)
    edge = np.abs(u) - 0.24 * (1.0 - v) - jag + 0.02
    edge = np.maximum(edge, 0.08 - v)
    trunk = np.maximum(np.abs(u) - 0.02, v - 0.15)
    leaves = noise(u * 60.0, v * 40.0)
    colour = column((0.035, 0.075, 0.035)) * (0.5 + leaves + 1.2 * u)
    alpha = np.maximum(smooth(edge, 0.02), smooth(trunk, 0.01))
    return alpha, colour


def _cypress(u: Field, v: Field, _: Style) -> tuple[Field, Field]:
    leaves = noise(u * 70.0, v * 30.0)
    wide = 0.10 * np.sqrt(np.clip(v * (1.02 - v) * 3.2, 0.0, 1.0))
    colour = column((0.045, 0.085, 0.03)) * (0.45 + 0.9 * leaves + 3.0 * u)
    return smooth(np.abs(u) - wide + 0.03 * (leaves - 0.5), 0.015), colour


def _palm(u: Field, v: Field, style: Style) -> tuple[Field, Field]:
    lean = float(style.rng.uniform(-0.12, 0.12))
    trunk = np.maximum(np.abs(u - lean * v * v) - 0.018, np.abs(v - 0.4) - 0.4)
    fronds = np.full_like(u, 9.0)
    du, dv = u - lean * 0.64, v - 0.79
    for angle in np.linspace(-0.5, math.pi + 0.5, 10):
        c, s = math.cos(angle), math.sin(angle)
        along = np.clip((du * c + dv * s), 0.0, 0.30)
        bent_v = s * along - 2.0 * along * along
        wide = 0.028 * (1.0 - along / 0.31) + 0.004
        fronds = np.minimum(fronds, np.sqrt((du - c * along) ** 2 + (dv - bent_v) ** 2) - wide)
    leaves = noise(u * 80.0, v * 80.0)
    colour = column((0.10, 0.17, 0.035)) * (0.5 + leaves)
    alpha, wood = smooth(fronds, 0.012), smooth(trunk, 0.01)
    return np.maximum(alpha, wood), np.where(wood > alpha, column((0.20, 0.15, 0.10)), colour)


def _person(u: Field, v: Field, style: Style) -> tuple[Field, Field]:
    """Paint a standing figure: legs, coat and head in capsules."""
    head = np.sqrt(u * u + (v - 0.92) ** 2) - 0.065
    coat = np.sqrt(u * u * 0.7 + (v - np.clip(v, 0.52, 0.74)) ** 2) - 0.10
    arms = np.sqrt((np.abs(u) - 0.135) ** 2 + (v - np.clip(v, 0.5, 0.72)) ** 2) - 0.033
    legs = np.sqrt((np.abs(u) - 0.05) ** 2 + (v - np.clip(v, 0.02, 0.5)) ** 2) - 0.045
    shades = style.rng.uniform(0.04, 0.4) + style.rng.uniform(-0.03, 0.10, 3).astype(np.float32)
    cloth = np.minimum(coat, arms)
    colour = np.where(cloth < legs, shades[:, None], column((0.05, 0.06, 0.10)))
    skin = (0.45, 0.28, 0.19) if style.rng.random() < 0.6 else (0.16, 0.09, 0.06)
    hair = v > 0.935
    face = np.where(hair, column((0.05, 0.035, 0.025)), column(skin))
    colour = np.where(head < np.minimum(cloth, legs), face, colour)
    colour = colour * (0.8 + 1.6 * u)
    return smooth(np.minimum(np.minimum(cloth, legs), head), 0.02), colour


def _lamp(u: Field, v: Field, style: Style) -> tuple[Field, Field]:
    post = np.maximum(np.abs(u) - (0.011 + 0.014 * (v < 0.16)), v - 0.9)
    arm = np.maximum(np.abs(v - 0.85) - 0.008, np.abs(u) - 0.09)
    globe = np.sqrt((np.abs(u) - 0.09) ** 2 + (v - 0.885) ** 2) - 0.032
    top = np.sqrt(u * u + (v - 0.94) ** 2) - 0.038
    globe = np.minimum(globe, top)
    iron = np.minimum(post, arm)
    glass = column((3.0, 2.3, 1.3)) if style.dark else column((0.75, 0.75, 0.72))
    colour = np.where(globe < iron, glass, column((0.035, 0.045, 0.04)) + 0.0 * u)
    return smooth(np.minimum(iron, globe), 0.012), colour


CUT_OUTS: dict[str, CutOut] = {
    "tree": CutOut(_tree, 0.45, 9.0),
    "conifer": CutOut(_conifer, 0.3, 11.0),
    "cypress": CutOut(_cypress, 0.14, 9.0),
    "palm": CutOut(_palm, 0.4, 9.0),
    "person": CutOut(_person, 0.2, 1.72),
    "lamp": CutOut(_lamp, 0.14, 5.5),
}
