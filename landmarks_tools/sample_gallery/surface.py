"""Materials: what colour a landmark's surface has at a point, with its masonry and windows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from landmarks_tools.sample_gallery.sdf import Field

Colour: TypeAlias = tuple[float, float, float]  # linear reflectance, 0 to 1

_TABLE = np.random.default_rng(20240229).random((128, 128)).astype(np.float32)


@dataclass(frozen=True)
class Surface:
    """Points on a landmark: position (3, N) in metres, normal (3, N), and how wide a pixel is."""

    position: Field
    normal: Field
    footprint: Field  # (N,) metres that one pixel covers here

    @property
    def along(self) -> Field:
        """Metres along a wall, (N,): x on walls that face z, z on walls that face x."""
        sideways = np.abs(self.normal[0]) > np.abs(self.normal[2])
        result: Field = np.where(sideways, self.position[2], self.position[0])
        return result

    @property
    def up(self) -> Field:
        """Metres up a wall, (N,); across the slope on roofs and floors."""
        flat = np.abs(self.normal[1]) > 0.85
        result: Field = np.where(flat, self.position[2], self.position[1])
        return result

    def angle(self) -> Field:
        """Angle about the landmark's upright axis, radians."""
        result: Field = np.arctan2(self.position[0], self.position[2])
        return result


Pattern: TypeAlias = Callable[[Surface], Field]


@dataclass(frozen=True)
class Material:
    """Colour, a pattern (N,) in 0 to 1 that blends it to `accent`, and how it meets light."""

    colour: Colour
    accent: Colour = (0.0, 0.0, 0.0)
    pattern: Pattern | None = None
    grain: float = 0.12  # how much noise darkens and lightens it
    grain_size: float = 3.0  # metres
    gloss: float = 0.0  # share of the sky that it mirrors
    glow: Colour | None = None  # light of the accented parts (windows) after dark
    landmark: bool = True  # False: a neighbour that is not the landmark itself
    lit: float = 1.0  # share of the floodlights that reach it after dark

    def albedo(self, surface: Surface) -> tuple[Field, Field]:
        """Return the reflectance (3, N) and the accent's weight (N,)."""
        count = surface.footprint.shape[0]
        weight = self.pattern(surface) if self.pattern else np.zeros(count, np.float32)
        base = np.array(self.colour, np.float32)[:, None]
        accent = np.array(self.accent, np.float32)[:, None]
        colour = base + (accent - base) * weight
        if self.grain:
            x, y, z = surface.position / self.grain_size
            rough = fractal(x + 0.37 * y, z + 0.61 * y + 17.0)
            colour = colour * (1.0 + 2.0 * self.grain * (rough - 0.5))
        return colour, weight


def hashed(i: Field, j: Field) -> Field:
    """Return a fixed random number in 0 to 1 for each pair of whole numbers."""
    result: Field = _TABLE[i.astype(np.int32) & 127, j.astype(np.int32) & 127]
    return result


def noise(u: Field, v: Field) -> Field:
    """Smooth value noise in 0 to 1, one bump per unit."""
    iu, iv = np.floor(u), np.floor(v)
    fu, fv = u - iu, v - iv
    fu, fv = fu * fu * (3.0 - 2.0 * fu), fv * fv * (3.0 - 2.0 * fv)
    i0, j0 = iu.astype(np.int32) & 127, iv.astype(np.int32) & 127
    i1, j1 = (i0 + 1) & 127, (j0 + 1) & 127
    low = _TABLE[i0, j0] * (1.0 - fv) + _TABLE[i0, j1] * fv
    high = _TABLE[i1, j0] * (1.0 - fv) + _TABLE[i1, j1] * fv
    result: Field = low + (high - low) * fu
    return result


def fractal(u: Field, v: Field, octaves: int = 3) -> Field:
    """Noise of several scales, 0 to 1."""
    total, weight, scale = np.zeros_like(u), 0.0, 1.0
    for octave in range(octaves):
        total += scale * noise(u * 2.03**octave + 11.0 * octave, v * 2.03**octave)
        weight, scale = weight + scale, scale * 0.5
    return total * (1.0 / weight)


def fade(surface: Surface, size: float) -> Field:
    """1 where details of `size` metres can be seen, 0 where a pixel is wider than they are."""
    result: Field = np.clip(1.6 - surface.footprint * (1.6 / size), 0.0, 1.0)
    return result


def smooth(edge: Field, width: float = 0.04) -> Field:
    """1 where `edge` is negative (inside), falling to 0 over `width`."""
    result: Field = np.clip(0.5 - edge * (1.0 / width), 0.0, 1.0)
    return result


def courses(width: float, height: float, joint: float = 0.08, tint: float = 0.35) -> Pattern:
    """Masonry: staggered blocks, the joints fully accented and each block a little."""

    def pattern(surface: Surface) -> Field:
        v = surface.up * (1.0 / height)
        row = np.floor(v)
        u = surface.along * (1.0 / width) + 0.5 * (row % 2)
        column = np.floor(u)
        gap = np.minimum(0.5 - np.abs(u - column - 0.5), (0.5 - np.abs(v - row - 0.5)))
        lines = smooth(gap - joint, 0.05)
        blocks = tint * hashed(column, row)
        result: Field = np.maximum(lines * 0.9, blocks) * fade(surface, height) + 0.18 * (
            1.0 - fade(surface, height)
        )
        return result

    return pattern


def openings(
    width: float,
    height: float,
    opening: tuple[float, float] = (0.5, 0.6),
    *,
    y0: float = -1e9,
    y1: float = 1e9,
    arched: bool = False,
    round_about: float = 0.0,
) -> Pattern:
    """Windows in cells of width × height metres, each opening a share of its cell.

    Only between heights y0 and y1 of upright walls. With `round_about` metres, cells follow the
    circle of that radius about the landmark's axis instead of flat walls.
    """

    def pattern(surface: Surface) -> Field:
        along = surface.angle() * round_about if round_about else surface.along
        u = along * (1.0 / width)
        foot = y0 if y0 > -1e8 else 0.0
        v = (surface.position[1] - foot) * (1.0 / height)
        column, row = np.rint(u), np.floor(v)
        du, dv = np.abs(u - column), v - row - 0.5
        half = 0.5 * opening[0]
        if arched:
            rise = np.maximum(dv * height - (0.5 * opening[1] * height - half * width), 0.0)
            side = np.sqrt((du * width) ** 2 + rise * rise) * (1.0 / width) - half
        else:
            side = du - half
        edge = np.maximum(side, np.abs(dv) - 0.5 * opening[1])
        upright = (np.abs(surface.normal[1]) < 0.5) & (surface.position[1] < y1)
        upright &= surface.position[1] > foot
        seen = fade(surface, 0.5 * min(width, height))
        mask = smooth(edge, 0.12) * seen + opening[0] * opening[1] * (1.0 - seen)
        result: Field = mask * upright * (0.55 + 0.45 * hashed(column, row))
        return result

    return pattern


def bands(period: float, share: float = 0.3, *, upright: bool = False) -> Pattern:
    """Level stripes every `period` metres (or upright ones), accented for a share of it."""

    def pattern(surface: Surface) -> Field:
        v = (surface.along if upright else surface.position[1]) * (1.0 / period)
        mask = smooth(np.abs(v - np.rint(v)) - 0.5 * share, 0.1)
        seen = fade(surface, period * 0.5)
        return mask * seen + share * (1.0 - seen)

    return pattern


def ribs(count: int, share: float = 0.4, twist: float = 0.0) -> Pattern:
    """Upright ribs about the axis, `count` of them, twisted by `twist` turns a metre."""

    def pattern(surface: Surface) -> Field:
        v = surface.angle() * (count / 6.2832) + surface.position[1] * (twist * count)
        return smooth(np.abs(v - np.rint(v)) - 0.5 * share, 0.2)

    return pattern


def lattice(period: float, share: float = 0.35) -> Pattern:
    """Accent the holes between crossed girders with the colour of what lies behind."""

    def pattern(surface: Surface) -> Field:
        u, v = surface.along * (1.0 / period), surface.position[1] * (1.0 / period)
        a, b = u + v, u - v
        girder = np.minimum(np.abs(a - np.rint(a)), np.abs(b - np.rint(b)))
        mask = smooth(0.5 * share - girder, 0.1)
        seen = fade(surface, period * 0.5)
        return mask * seen + (1.0 - share) * 0.8 * (1.0 - seen)

    return pattern


def either(*patterns: Pattern) -> Pattern:
    """Accent where any of the patterns does."""

    def pattern(surface: Surface) -> Field:
        result = patterns[0](surface)
        for other in patterns[1:]:
            result = np.maximum(result, other(surface))
        return result

    return pattern


def scaled(inner: Pattern, factor: float) -> Pattern:
    """Weaken a pattern by a factor."""
    return lambda surface: inner(surface) * factor
