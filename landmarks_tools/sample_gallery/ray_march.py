"""Ray marching: where rays meet a landmark, and how much of the sun and the sky a point sees.

Sphere tracing after John C. Hart (1996); soft shadows and ambient occlusion after Inigo Quilez.
Rays are arrays (3, N): origins and unit directions, metres.
"""

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark
from landmarks_tools.sample_gallery.sdf import Field

_STEPS = 72
_CHUNK = 12_288  # rays at a time: their temporaries stay in the processor's cache
_MISS = np.float32(1e9)


def distance(landmark: Landmark, points: Field) -> Field:
    """Metres (N,) from points (3, N) to the landmark's surface."""
    parts = landmark.shape(points[0], points[1], points[2])
    result = parts[0][0]
    for other, _ in parts[1:]:
        result = np.minimum(result, other)
    return result


def inside_box(landmark: Landmark, origin: Field, direction: Field) -> tuple[Field, Field]:
    """Where rays enter and leave the landmark's bounding box; enter > leave if they miss it."""
    hx, height, hz = landmark.bounds or landmark.extent
    low, high = (-hx, 0.0, -hz), (hx, height, hz)
    enter = np.zeros(direction.shape[1], np.float32)
    leave = np.full(direction.shape[1], _MISS)
    for axis in range(3):
        along = direction[axis]
        inverse = 1.0 / np.where(np.abs(along) < 1e-7, np.float32(1e-7), along)
        a = (low[axis] - origin[axis]) * inverse
        b = (high[axis] - origin[axis]) * inverse
        enter = np.maximum(enter, np.minimum(a, b))
        leave = np.minimum(leave, np.maximum(a, b))
    return enter, leave


def march(landmark: Landmark, origin: Field, direction: Field, limit: Field, pixel: float) -> Field:
    """Metres (N,) along each ray to the landmark, infinite (1e9) where it is missed.

    `limit` (N,) is where to stop looking, `pixel` the angle of a pixel in radians.
    """
    enter, leave = inside_box(landmark, origin, direction)
    leave = np.minimum(leave, limit)
    result = np.full(direction.shape[1], _MISS)
    candidates = np.flatnonzero(enter < leave)
    for start in range(0, candidates.size, _CHUNK):
        rays = candidates[start : start + _CHUNK]
        o, d, t, end = origin[:, rays], direction[:, rays], enter[rays], leave[rays]
        for _ in range(_STEPS):
            step = distance(landmark, o + d * t)
            near = step < (0.35 * pixel) * t + 1e-3
            if near.any():
                result[rays[near]] = t[near]
            t = t + step * 0.96
            going = ~near & (t < end)
            count = int(np.count_nonzero(going))
            if not count:
                break
            # Copying the survivors together pays once enough rays have dropped out.
            if count < 0.8 * going.size or near.any():
                rays, o, d, t, end = rays[going], o[:, going], d[:, going], t[going], end[going]
        else:
            # Grazing rays that ran out of steps lie within a pixel of the surface more often
            # than not: count those as hits that came close.
            close = distance(landmark, o + d * t) < 2.0 * pixel * t
            close |= landmark.setting.cave  # where every ray meets rock sooner or later
            result[rays[close]] = t[close]
    return result


def normals(landmark: Landmark, points: Field, reach: Field) -> Field:
    """Return unit normals (3, N) from four samples about each point, `reach` (N,) metres apart."""
    result = np.zeros_like(points)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        offset = np.array(corner, np.float32)[:, None]
        result += offset * distance(landmark, points + offset * (reach * 0.57))
    result /= np.sqrt((result * result).sum(0)) + 1e-9
    return result


def sunlight(
    landmark: Landmark, points: Field, sun: tuple[float, float, float], softness: float
) -> Field:
    """Share (N,) of the sun that points (3, N) see past the landmark; `softness` of the edges."""
    direction = np.broadcast_to(np.array(sun, np.float32)[:, None], points.shape)
    enter, leave = inside_box(landmark, points, direction)
    share = np.ones(points.shape[1], np.float32)
    size = max(landmark.extent)
    active = np.flatnonzero(enter < leave)
    for start in range(0, active.size, _CHUNK):
        rays = active[start : start + _CHUNK]
        o, d, end = points[:, rays], direction[:, rays], leave[rays]
        t = np.maximum(enter[rays], 0.004 * size)
        seen = np.ones(rays.size, np.float32)
        for _ in range(16):
            step = distance(landmark, o + d * t)
            seen = np.minimum(seen, step * softness / (t + 0.02 * size))
            t = t + np.clip(step, 0.008 * size, 0.25 * size)
            going = (seen > 0.02) & (t < end)
            if not going.any():
                break
            if np.count_nonzero(going) < 0.7 * going.size:
                share[rays] = seen
                rays, o, d = rays[going], o[:, going], d[:, going]
                t, end, seen = t[going], end[going], seen[going]
        share[rays] = seen
    return np.clip(share, 0.0, 1.0)


def openness(landmark: Landmark, points: Field, normal: Field) -> Field:
    """Share (N,) of the surrounding light that nearby parts of the landmark leave to points."""
    size = max(landmark.extent)
    hidden = np.zeros(points.shape[1], np.float32)
    for reach, weight in ((0.012, 0.5), (0.035, 0.35), (0.09, 0.25)):
        far = reach * size
        hidden += weight * np.clip(1.0 - distance(landmark, points + normal * far) / far, 0.0, 1.0)
    return 1.0 - 0.85 * np.clip(hidden, 0.0, 1.0)
