"""Monuments of the ancient world."""

import dataclasses
import math

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Parts, Setting
from landmarks_tools.sample_gallery.sdf import (
    Field,
    Outline,
    Vector,
    around,
    blend,
    block,
    box,
    capsule,
    carve,
    cylinder,
    ellipsoid,
    length,
    repeat,
    square,
    turn,
    union,
)
from landmarks_tools.sample_gallery.surface import (
    Material,
    bands,
    courses,
    either,
    hashed,
    openings,
    scaled,
)

_LIMESTONE = Material((0.46, 0.33, 0.19), (0.24, 0.16, 0.09), courses(5.0, 3.2, 0.14, 0.5))
_CASING = Material((0.55, 0.44, 0.30), (0.45, 0.34, 0.2), courses(4.0, 3.0, 0.1, 0.3))


def _pyramid(x: Field, y: Field, z: Field, half: float, height: float) -> Field:
    steps = 0.9 * (y / 3.2 - np.floor(y / 3.2))  # courses stand back one after the other
    side = square(x, z) - half * (1.0 - y / height) - steps
    result: Field = side * (height / math.hypot(height, half))
    return result


def _pyramids(x: Field, y: Field, z: Field) -> Parts:
    great = _pyramid(x - 150.0, y, z - 110.0, 115.0, 139.0)
    second = _pyramid(x + 90.0, y, z + 60.0, 106.0, 136.0)
    third = _pyramid(x + 275.0, y, z + 130.0, 52.0, 62.0)
    queens = _pyramid(repeat(x + 275.0, 52.0, 3), y, z + 45.0, 21.0, 28.0)
    cap = np.where(y > 104.0, second - 0.4, second + 0.4)
    return [(union(great, second, third, queens), _LIMESTONE), (cap, _CASING)]


PYRAMIDS_OF_GIZA = Landmark(
    "Pyramids_of_Giza",
    _pyramids,
    (330.0, 140.0, 228.0),
    Setting("sand", "sand", 1.2, "desert", (), snow=False),
    elevations=(0.5, 14.0),
    fill=1.3,
)

_SEATS = Outline([(52, 0), (86, 0), (86, 33), (79, 33), (54, 6)])
_WALL = Outline(
    [(88, 0), (94.5, 0), (94.5, 36.5), (93.5, 37.5), (93.5, 47.5), (94.5, 49), (88, 49)]
)
_TRAVERTINE = Material(
    (0.60, 0.47, 0.32),
    (0.085, 0.06, 0.045),
    either(
        openings(7.0, 12.2, (0.6, 0.72), y0=0.3, y1=36.0, arched=True, round_about=90.0),
        openings(14.0, 10.0, (0.14, 0.3), y0=37.0, y1=47.5, round_about=90.0),
        scaled(bands(12.2, 0.06), 0.35),
    ),
    grain=0.2,
    grain_size=7.0,
    glow=(0.55, 0.25, 0.06),
)


def _colosseum(x: Field, y: Field, z: Field) -> Parts:
    r = length(x, z * 1.2)
    stands = _SEATS(r, y) * 0.85
    # The outer wall stands on the north side only, ending in two stepped buttresses.
    ruin = 0.45 * x - 0.9 * z - 18.0 + 0.6 * y
    wall = np.maximum(_WALL(r, y) * 0.85, ruin * 0.85)
    arena = np.maximum(r * 0.85 - 46.0, y - 0.6)
    inner = dataclasses.replace(
        _TRAVERTINE,
        pattern=either(
            openings(7.0, 12.2, (0.55, 0.7), y0=0.3, y1=31.0, arched=True, round_about=83.0),
            scaled(bands(3.4, 0.4), 0.5),
        ),
    )
    brick = Material((0.42, 0.27, 0.18), grain=0.25)
    return [(wall, _TRAVERTINE), (stands, inner), (arena, brick)]


COLOSSEUM = Landmark(
    "Colosseum",
    _colosseum,
    (95.0, 49.0, 79.5),
    Setting("paving", "grass", 1.35, "city", ("cypress", "tree"), snow=False),
    elevations=(0.0, 18.0),
    fill=1.4,
)

_SARSEN = Material(
    (0.44, 0.41, 0.35),
    (0.27, 0.27, 0.18),
    lambda s: 0.6 * hashed(np.floor(s.position[0] * 0.8), np.floor(s.position[1] * 0.9)),
    grain=0.4,
    grain_size=0.9,
)


def _standing(
    x: Field,
    y: Field,
    z: Field,
    count: int,
    radius: float,
    stone: Vector,
    missing: float,
    salt: int,
) -> Field:
    """Stones (half width, height, half thickness) in a circle, a share of them missing."""
    out, across, wedge = around(x, z, count)
    wobble = 0.06 * np.sin(y * 2.3 + wedge * 5.0)
    d = block(across + wobble, y, out - radius, stone[0], 0.0, stone[1], stone[2])
    gone = hashed(wedge + salt, wedge * 0.0 + 3) < missing
    # Where a stone is missing, the nearest is beyond the border of the wedge.
    border = math.pi * radius / count - np.abs(across)
    return np.where(gone, np.maximum(border, 0.0) * 0.8 + 0.35, d)


def _stonehenge(x: Field, y: Field, z: Field) -> Parts:
    rough = 0.05 * np.sin(x * 3.1) * np.sin(y * 2.7) * np.sin(z * 3.7)
    circle = _standing(x, y, z, 30, 15.2, (1.0, 4.2, 0.55), 0.4, 5)
    lintels = _standing(*_half_turned(x, y - 4.2, z, 30), 30, 15.2, (1.62, 0.9, 0.5), 0.5, 21)
    pairs, side, wedge = around(x, z, 6)
    gone = wedge == 0
    trilithon = union(
        block(np.abs(side) - 1.5, y, pairs - 6.6, 1.05, 0.0, 6.4, 0.6),
        block(side, y, pairs - 6.6, 2.7, 6.4, 7.5, 0.62),
    )
    trilithon = np.where(gone, np.maximum(3.3 - np.abs(side), 0.0) * 0.8 + 0.35, trilithon)
    fallen = union(
        box(*_laid(x - 4.0, y - 0.5, z - 11.0, 25.0), 2.3, 0.5, 0.8),
        box(*_laid(x + 7.0, y - 0.4, z - 9.5, -50.0), 1.9, 0.45, 0.7),
        box(*_laid(x - 2.0, y - 0.5, z - 2.0, 70.0), 2.4, 0.5, 0.9),
    )
    return [(union(circle, lintels, trilithon, fallen) + rough - 0.06, _SARSEN)]


def _half_turned(x: Field, y: Field, z: Field, count: int) -> tuple[Field, Field, Field]:
    u, w = turn(x, z, 180.0 / count)
    return u, y, w


def _laid(x: Field, y: Field, z: Field, degrees: float) -> tuple[Field, Field, Field]:
    u, w = turn(x, z, degrees)
    return u, y, w


STONEHENGE = Landmark(
    "Stonehenge",
    _stonehenge,
    (17.0, 7.8, 17.0),
    Setting("grass", "grass", 1.2, "hills", (), flood=(0.25, 0.2, 0.2)),
    elevations=(1.0, 16.0),
    fill=1.25,
)

_PENTELIC = Material(
    (0.74, 0.62, 0.45), (0.45, 0.35, 0.23), courses(2.6, 1.2, 0.06, 0.25), grain=0.16
)
_FLUTED = Material((0.76, 0.64, 0.47), (0.5, 0.4, 0.28), bands(1.7, 0.06), grain=0.14)
_GABLE = Outline([(-16.5, 16.4), (16.5, 16.4), (16.5, 17.0), (0, 21.0), (-16.5, 17.0)])


def _parthenon(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    steps = union(
        block(x, y, z, 18.5, 0.0, 0.8, 38.0),
        block(x, y, z, 17.7, 0.0, 1.6, 37.2),
        block(x, y, z, 16.9, 0.0, 2.4, 36.4),
    )
    girth = 1.02 - 0.018 * (y - 2.4)
    ends = length(repeat(x, 4.25, 8), az - 34.4) - girth
    sides = length(ax - 14.9, repeat(z, 4.28, 17)) - girth
    rows = np.minimum(ends, sides)
    capitals = np.maximum(rows - 0.35, np.abs(y - 12.4) - 0.45)
    columns = np.maximum(rows, np.abs(y - 7.4) - 5.0)
    beams = carve(block(x, y, z, 16.3, 12.8, 16.4, 35.8), np.maximum(ax - 13.4, az - 32.8))
    # The middle of the south flank fell in 1687.
    beams = np.maximum(beams, -np.maximum(np.maximum(13.0 - x, np.abs(z + 2.0) - 13.0), 14.6 - y))
    gable = np.maximum(_GABLE(x, y), np.abs(az - 34.4) - 1.2)
    gable = np.maximum(gable, -(length(x + 3.0, y - 21.5) - 3.2))
    cella = np.maximum(
        carve(block(x, y, z, 10.2, 2.4, 12.0, 27.0), np.maximum(ax - 9.0, az - 25.5)),
        -np.maximum(az - 11.0, 5.0 - y),
    )
    return [
        (union(steps, beams, gable, cella), _PENTELIC),
        (np.minimum(columns, capitals), _FLUTED),
    ]


PARTHENON = Landmark(
    "Parthenon",
    _parthenon,
    (18.6, 21.2, 38.1),
    Setting("rock", "gravel", 1.4, "hills", ("cypress",), snow=False),
    elevations=(0.0, 12.0),
    fill=1.15,
)

_TUFF = Material(
    (0.24, 0.20, 0.16),
    (0.36, 0.34, 0.28),
    lambda s: 0.7 * hashed(np.floor(s.position[0] * 1.7), np.floor(s.position[1] * 1.9)),
    grain=0.4,
    grain_size=0.6,
)


def _moai(x: Field, y: Field, z: Field) -> Parts:
    u = repeat(x, 4.6, 7)
    number = np.rint((x - u) / 4.6)
    tall = 0.85 + 0.35 * hashed(number + 9.0, number * 0.0 + 2)
    v, s = (y - 1.6) / tall, np.abs(u)
    body = ellipsoid(u, v - 1.5, z, 1.55, 2.3, 0.95)
    body = blend(body, box(u, v - 2.6, z, 1.25, 0.35, 0.45) - 0.2, 0.5)
    jaw = 0.72 + 0.05 * (v - 4.0)
    head = np.maximum(np.maximum(s - jaw, np.abs(v - 4.35) - 1.45), np.abs(z - 0.1) - 0.72) - 0.12
    head = blend(head, body, 0.35)
    sockets = ellipsoid(s - 0.42, v - 4.75, z - 1.05, 0.36, 0.30, 0.36)
    head = carve(head, sockets)
    brow = box(u, v - 5.2, z - 0.72, 0.78, 0.16, 0.3) - 0.06
    nose = capsule(u, v, z, (0, 5.05, 0.85), (0, 4.05, 1.12), 0.15, 0.27)
    lips = box(u, v - 3.55, z - 0.85, 0.38, 0.07, 0.16) - 0.05
    chin = box(u, v - 3.05, z - 0.78, 0.5, 0.16, 0.2) - 0.07
    ears = box(s - 0.9, v - 4.45, z, 0.07, 0.85, 0.22) - 0.05
    arms = capsule(s, v, z, (1.45, 2.4, 0.1), (1.25, 0.2, 0.5), 0.3, 0.24)
    statue = union(blend(head, brow, 0.1), nose, lips, chin, ears, arms) * 0.8
    hat = cylinder(u, v, z, 0.95, 5.95, 6.9) * 0.8
    hat = np.where((number == 1) | (number == -2), hat, 2.0)
    platform = union(
        block(x, y, z, 18.5, 0.0, 1.6, 2.6),
        np.maximum((y + 0.32 * (z - 2.6)) * 0.9 - 1.5, box(x, y, z - 5.0, 18.5, 1.6, 3.2)),
    )
    scoria = Material((0.33, 0.12, 0.07), grain=0.3, grain_size=0.5)
    ahu = Material((0.22, 0.20, 0.17), (0.1, 0.09, 0.08), courses(1.1, 0.55, 0.1, 0.5), grain=0.3)
    return [(statue, _TUFF), (hat, scoria), (platform, ahu)]


MOAI = Landmark(
    "Moai_of_Easter_Island",
    _moai,
    (18.6, 9.8, 8.3),
    Setting("grass", "grass", 1.2, "sea", (), snow=False, flood=(0.25, 0.22, 0.2)),
    azimuths=(-60.0, 60.0),
    elevations=(0.0, 6.0),
    fill=1.65,
)

ANCIENT = (PYRAMIDS_OF_GIZA, COLOSSEUM, STONEHENGE, PARTHENON, MOAI)
