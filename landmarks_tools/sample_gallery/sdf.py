"""Signed distance functions, the solids that the landmarks are built of.

A solid is a function from points to the distance, in metres, to its surface: negative inside,
and never more than the true distance outside, so that a ray may safely step that far. The method
and the exact formulas for polygons and capsules follow Inigo Quilez, "Distance functions" and
"2D distance functions"; where an exact distance costs much, a cheaper lower bound stands here.

All arguments are float32 arrays of one shape, x to the right, y up from the ground, z towards
the viewer of the front. Constants are Python floats: a float64 scalar of numpy would turn every
array into float64.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# float32 in fact; numpy's stubs take float32 × float for float64, so the type says less.
Field: TypeAlias = NDArray[np.floating]


def length(*components: Field) -> Field:
    """Return euclidean length of the vectors with these components."""
    squared = components[0] * components[0]
    for component in components[1:]:
        squared += component * component
    return np.sqrt(squared)


def sphere(x: Field, y: Field, z: Field, radius: float) -> Field:
    """Return a ball around the origin."""
    return length(x, y, z) - radius


def ellipsoid(x: Field, y: Field, z: Field, rx: float, ry: float, rz: float) -> Field:
    """Return an ellipsoid around the origin; a lower bound outside."""
    return (length(x / rx, y / ry, z / rz) - 1.0) * min(rx, ry, rz)


def box(x: Field, y: Field, z: Field, hx: float, hy: float, hz: float) -> Field:
    """Return a box around the origin, hx, hy, hz its half sizes; a lower bound past its corners."""
    return np.maximum(np.maximum(np.abs(x) - hx, np.abs(y) - hy), np.abs(z) - hz)


def block(x: Field, y: Field, z: Field, hx: float, y0: float, y1: float, hz: float) -> Field:
    """Return a box from height y0 to y1."""
    return box(x, y - 0.5 * (y0 + y1), z, hx, 0.5 * (y1 - y0), hz)


def cylinder(x: Field, y: Field, z: Field, radius: float, y0: float, y1: float) -> Field:
    """Return an upright cylinder from height y0 to y1; a lower bound beyond its rims."""
    result: Field = np.maximum(length(x, z) - radius, np.abs(y - 0.5 * (y0 + y1)) - 0.5 * (y1 - y0))
    return result


def frustum(r: Field, y: Field, r0: float, y0: float, r1: float, y1: float) -> Field:
    """Return a cone cut at y0 (radius r0) and y1 (radius r1), `r` the distance from its axis.

    With r = max(|x|, |z|) it is a pyramid instead.
    """
    slope = (r1 - r0) / (y1 - y0)
    side = (r - (r0 + slope * (y - y0))) * (1.0 / math.hypot(1.0, slope))
    result: Field = np.maximum(side, np.abs(y - 0.5 * (y0 + y1)) - 0.5 * (y1 - y0))
    return result


Vector: TypeAlias = tuple[float, float, float]


def capsule(x: Field, y: Field, z: Field, a: Vector, b: Vector, ra: float, rb: float) -> Field:
    """Return a rod from a to b whose radius goes from ra to rb, nearly a distance if it tapers."""
    ax, ay, az = (b[i] - a[i] for i in range(3))
    px, py, pz = x - a[0], y - a[1], z - a[2]
    inverse = 1.0 / (ax * ax + ay * ay + az * az)
    along = np.clip((px * ax + py * ay + pz * az) * inverse, 0.0, 1.0)
    radius = ra + (rb - ra) * along if ra != rb else ra
    return length(px - ax * along, py - ay * along, pz - az * along) - radius


def union(first: Field, *others: Field) -> Field:
    """Return the solids together."""
    result = first
    for other in others:
        result = np.minimum(result, other)
    return result


def blend(a: Field, b: Field, width: float) -> Field:
    """Return two solids melted together over `width` metres (Quilez, polynomial smooth minimum)."""
    overlap = np.maximum(width - np.abs(a - b), 0.0)
    return np.minimum(a, b) - overlap * overlap * (0.25 / width)


def carve(solid: Field, hole: Field) -> Field:
    """Return `solid` without `hole`."""
    return np.maximum(solid, -hole)


def square(x: Field, z: Field) -> Field:
    """Return distance from a square axis: what `length` is for round things, for square towers."""
    return np.maximum(np.abs(x), np.abs(z))


def octagon(x: Field, z: Field) -> Field:
    """Return distance from an octagonal axis."""
    ax, az = np.abs(x), np.abs(z)
    return np.maximum(np.maximum(ax, az), (ax + az) * math.sqrt(0.5))


def repeat(x: Field, step: float, count: int) -> Field:
    """Fold x so that one solid appears `count` times in a row about the origin."""
    half = 0.5 * (count - 1)
    offset = 0.5 * ((count - 1) % 2)
    cell = np.clip(np.rint(x / step - offset) + offset, -half, half)
    result: Field = x - step * cell
    return result


def turn(x: Field, z: Field, degrees: float) -> tuple[Field, Field]:
    """Coordinates in a frame turned by `degrees` about the upright axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return c * x + s * z, c * z - s * x


def around(x: Field, z: Field, count: int) -> tuple[Field, Field, Field]:
    """Fold space about the upright axis into `count` equal wedges.

    Returns (out, across, wedge): metres outwards along the middle of the wedge, metres sideways,
    and the wedge's number, from 0 at the front.
    """
    sector = 2.0 * math.pi / count
    angle = np.arctan2(x, z)
    wedge = np.rint(angle * (1.0 / sector))
    angle -= sector * wedge
    r = length(x, z)
    return r * np.cos(angle), r * np.sin(angle), wedge % count


def arch(u: Field, y: Field, half: float, spring: float) -> Field:
    """Return the opening of a round arch: half its width, and the height where it curves."""
    result: Field = np.maximum(length(u, np.maximum(y - spring, 0.0)) - half, np.abs(u) - half)
    return result


class Outline:
    """A closed polygon in the plane as a table of exact signed distances, read bilinearly.

    One table lookup replaces the union of a dozen solids. Used upon (r, y) it turns the polygon
    about the axis (`Outline.lathe`); upon (x, y) it is a silhouette to be given a thickness.
    """

    def __init__(self, points: Sequence[tuple[float, float]], cells: int = 220) -> None:
        self._points = np.array(points, np.float64)
        self._cells = cells

    @classmethod
    def lathe(cls, profile: Sequence[tuple[float, float]], cells: int = 220) -> "Outline":
        """Return the solid of revolution of a profile, (radius, height) from foot to top."""
        return cls([*profile, *((-r, y) for r, y in reversed(profile))], cells)

    @cached_property
    def _grid(self) -> tuple[Field, float, float, float]:
        low, high = self._points.min(0), self._points.max(0)
        step = float((high - low).max()) / self._cells
        low, high = low - 6 * step, high + 6 * step
        us = np.arange(low[0], high[0], step)
        vs = np.arange(low[1], high[1], step)
        u, v = np.meshgrid(us, vs, indexing="ij")
        squared = np.full(u.shape, np.inf)
        inside = np.zeros(u.shape, bool)
        for a, b in zip(self._points, np.roll(self._points, -1, axis=0), strict=True):
            edge = b - a
            if not edge.any():
                continue
            along = np.clip(((u - a[0]) * edge[0] + (v - a[1]) * edge[1]) / (edge @ edge), 0, 1)
            du, dv = u - a[0] - along * edge[0], v - a[1] - along * edge[1]
            squared = np.minimum(squared, du * du + dv * dv)
            if edge[1]:
                crosses = (v >= min(a[1], b[1])) & (v < max(a[1], b[1]))
                inside ^= crosses & (u < a[0] + edge[0] * (v - a[1]) / edge[1])
        table = np.where(inside, -np.sqrt(squared), np.sqrt(squared)).astype(np.float32)
        return table, float(low[0]), float(low[1]), step

    def __call__(self, u: Field, v: Field) -> Field:
        """Distance, in metres, of the points (u, v); a lower bound outside the table."""
        table, u0, v0, step = self._grid
        gu, gv = (u - u0) * (1.0 / step), (v - v0) * (1.0 / step)
        cu = np.clip(gu, 0.0, table.shape[0] - 1.001)
        cv = np.clip(gv, 0.0, table.shape[1] - 1.001)
        iu, iv = cu.astype(np.int32), cv.astype(np.int32)
        fu, fv = cu - iu.astype(np.float32), cv - iv.astype(np.float32)
        flat, width = table.ravel(), table.shape[1]
        at = iu * width + iv
        low = flat[at] * (1.0 - fv) + flat[at + 1] * fv
        high = flat[at + width] * (1.0 - fv) + flat[at + width + 1] * fv
        near = low + (high - low) * fu
        # Off the table: the nearest point on it, and how far away that is.
        beyond = np.maximum(np.abs(gu - cu), np.abs(gv - cv)) * step
        result: Field = np.where(beyond > 0.0, np.sqrt(near * near + beyond * beyond), near)
        return result


def arc(
    centre: tuple[float, float], radius: tuple[float, float], start: float, stop: float, n: int = 9
) -> list[tuple[float, float]]:
    """Points of an elliptic arc, angles in degrees from the u axis: a piece of an outline."""
    angles = [math.radians(start + (stop - start) * i / (n - 1)) for i in range(n)]
    return [
        (centre[0] + radius[0] * math.cos(angle), centre[1] + radius[1] * math.sin(angle))
        for angle in angles
    ]


def onion(base: float, y: float, radius: float, height: float) -> list[tuple[float, float]]:
    """Profile of an onion dome from its neck (radius `base`, height y) to its point."""
    shape = [(0.10, 0.72), (0.20, 0.95), (0.30, 1.0), (0.42, 0.93), (0.55, 0.70), (0.67, 0.42)]
    shape += [(0.78, 0.21), (0.88, 0.09), (1.0, 0.015)]
    return [(base, y)] + [(radius * share, y + height * t) for t, share in shape]
