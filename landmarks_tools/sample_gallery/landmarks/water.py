"""Landmarks that stand in or beside water."""

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Parts, Setting
from landmarks_tools.sample_gallery.sdf import (
    Field,
    Outline,
    block,
    box,
    capsule,
    cylinder,
    length,
    octagon,
    turn,
    union,
)
from landmarks_tools.sample_gallery.surface import Material, bands, courses, lattice, openings

_CONCRETE = Material((0.45, 0.42, 0.38), grain=0.15)

_VERMILION = Material(
    (0.62, 0.12, 0.035), (0.4, 0.07, 0.03), bands(0.9, 0.15, upright=True), grain=0.12
)
_BARK_ROOF = Material((0.11, 0.085, 0.07), (0.2, 0.16, 0.13), bands(0.5, 0.3))


def _torii(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    lean = 5.9 - 0.045 * y
    main = np.maximum(length(ax - lean, z) - (0.85 - 0.012 * y), y - 14.0) * 0.95
    small = np.maximum(length(ax - 5.9, az - 4.6 + 0.03 * y) - 0.42, y - 8.8) * 0.95
    ties = union(
        box(ax - 5.9, y - 7.3, z, 0.22, 0.35, 5.6), box(ax - 5.9, y - 3.3, z, 0.22, 0.3, 5.6)
    )
    beam = box(x, y - 11.4, z, 8.6, 0.6, 0.4)
    lift = y - 0.016 * x * x
    lintel = box(x, lift - 14.2, z, 10.9, 0.7, 0.75) * 0.9
    plaque = box(x, y - 12.9, z, 0.75, 0.95, 0.5)
    roof = (
        np.maximum(box(x, lift - 15.4, z, 12.0, 0.6, 2.0), (lift - 15.2) * 0.9 + 0.5 * az - 0.75)
        * 0.8
    )
    caps = box(ax - 5.9, y - 9.0, az - 4.45, 0.8, 0.16, 0.8)
    feet = np.minimum(
        cylinder(ax - 5.9, y, z, 1.0, 0.0, 0.7), cylinder(ax - 5.9, y, az - 4.6, 0.6, 0.0, 0.5)
    )
    gold = Material((0.10, 0.16, 0.13), (0.55, 0.4, 0.1), bands(0.6, 0.2))
    return [
        (union(main, small, ties, beam, lintel), _VERMILION),
        (np.minimum(roof, caps), _BARK_ROOF),
        (feet, _CONCRETE),
        (plaque, gold),
    ]


ITSUKUSHIMA_TORII = Landmark(
    "Itsukushima_Torii",
    _torii,
    (12.1, 18.4, 5.8),
    Setting("water", "water", 1.2, "mountains", (), snow=False, flood=(1.0, 0.55, 0.3)),
    azimuths=(-50.0, 50.0),
    elevations=(0.0, 7.0),
    fill=1.15,
)

_MILL = Outline.lathe([(6.6, 0), (6.2, 4), (3.7, 17), (3.9, 17.4), (3.9, 18.2), (0, 18.2)])
_THATCH = Material((0.27, 0.20, 0.12), (0.18, 0.13, 0.08), bands(0.7, 0.35), grain=0.3)
_BRICK = Material(
    (0.36, 0.14, 0.08), (0.7, 0.66, 0.6), openings(3.2, 4.4, (0.32, 0.45)), grain=0.15
)
_SAILCLOTH = Material((0.70, 0.64, 0.53), (0.12, 0.09, 0.06), lattice(0.9, 0.55), grain=0.1)


def _mill(x: Field, y: Field, z: Field, sails: float) -> tuple[Field, Field, Field]:
    """One mill facing z: (brick foot, thatch, sails turned by `sails` degrees)."""
    body = _MILL(octagon(x, z), y)
    cap = np.maximum(length(x, (y - 18.2) * 0.95, z * 0.72) - 3.7, 18.2 - y)
    gallery = np.maximum(np.abs(octagon(x, z) - 6.9) - 0.3, np.abs(y - 6.0) - 0.5)
    thatch = np.minimum(np.where(y > 6.0, body, body + 0.05), cap)
    foot = np.minimum(np.where(y > 6.0, body + 0.05, body), gallery)
    u, v = turn(x, y - 19.6, sails)
    u, v, reach = np.abs(u), np.abs(v), np.maximum(np.abs(u), np.abs(v))
    across = np.minimum(u, v)
    pole = np.maximum(across - 0.28, reach - 14.0)
    cloth = np.maximum(np.abs(across - 1.0) - 1.15, np.abs(reach - 8.3) - 5.6)
    blades = np.maximum(np.minimum(pole, cloth), np.abs(z - 5.4) - 0.22)
    axle = capsule(x, y, z, (0, 19.6, 0), (0, 19.6, 5.9), 0.5, 0.5)
    tail = capsule(x, y, z, (0, 17.5, -3.5), (0, 3.0, -9.0), 0.25, 0.25)
    return foot, np.minimum(thatch, tail), np.minimum(blades, axle)


def _kinderdijk(x: Field, y: Field, z: Field) -> Parts:
    mills = [
        _mill(x + 22.0, y, z - 14.0, 25.0),
        _mill(x - 18.0, y, z + 12.0, 48.0),
        _mill(x - 54.0, y, z + 44.0, 8.0),
    ]
    bank = np.maximum(np.abs(z - 3.0 + 0.7 * (x - 5.0)) * 0.82 - 30.0, y - 0.4)
    grass = Material((0.13, 0.20, 0.05), grain=0.5, landmark=False)
    return [
        (union(*(mill[0] for mill in mills)), _BRICK),
        (union(*(mill[1] for mill in mills)), _THATCH),
        (union(*(mill[2] for mill in mills)), _SAILCLOTH),
        (bank, grass),
    ]


KINDERDIJK = Landmark(
    "Windmills_of_Kinderdijk",
    _kinderdijk,
    (46.0, 33.0, 32.0),
    Setting("water", "grass", 1.9, "trees", ("tree",), flood=(0.9, 0.7, 0.4)),
    azimuths=(-42.0, 36.0),
    elevations=(0.0, 7.0),
    fill=1.35,
    bounds=(64.0, 34.0, 60.0),
)

_TILES = Material((0.84, 0.81, 0.74), (0.70, 0.66, 0.58), bands(4.0, 0.14), gloss=0.03, grain=0.03)
_GLASS = Material(
    (0.17, 0.13, 0.10),
    (0.06, 0.055, 0.05),
    bands(2.2, 0.4, upright=True),
    gloss=0.12,
    glow=None,
    lit=2.6,
)
_GRANITE = Material((0.50, 0.37, 0.29), (0.40, 0.29, 0.22), courses(8.0, 2.2, 0.08, 0.2))

# Shells as (x, z, height, facing x or -x, turned by degrees about the axis).
_SHELLS = (
    (-6.0, 24.0, 58.0, 1, 7),
    (24.0, 26.0, 46.0, 1, 7),
    (48.0, 29.0, 33.0, 1, 7),
    (-48.0, 20.0, 36.0, -1, 7),
    (0.0, -22.0, 47.0, 1, -7),
    (25.0, -24.5, 38.0, 1, -7),
    (45.0, -27.0, 27.0, 1, -7),
    (-35.0, -18.0, 29.0, -1, -7),
    (-62.0, 46.0, 18.0, -1, 20),
)


def _shell(x: Field, y: Field, z: Field) -> tuple[Field, Field]:
    """Return a shell of unit height that opens towards x, and the glass in its mouth.

    Two balls meet in the ridge, as in Jørn Utzon's spherical solution.
    """
    u, v, w = x - 0.60, y + 0.30, np.abs(z) + 1.05
    whole = length(u, v, w) - 1.63
    mouth = 0.90 * x - 0.44 * y - 0.10
    shell = np.maximum(np.maximum(whole, -(whole + 0.035)), mouth)
    glass = np.maximum(whole + 0.03, mouth + 0.09)
    return shell, glass


def _opera_house(x: Field, y: Field, z: Field) -> Parts:
    shells, glass = [], []
    for sx, sz, height, facing, turned in _SHELLS:
        u, w = turn(x - sx, z - sz, turned)
        shell, pane = _shell(
            facing * u * (1.0 / height), (y - 9.0) * (1.0 / height), w * (1.0 / height)
        )
        shells.append(shell * height)
        glass.append(pane * height)
    podium = union(
        block(x - 4.0, y, z, 84.0, 0.0, 9.0, 52.0),
        np.maximum(block(x + 4.0, y, z, 96.0, 0.0, 9.0, 44.0), -0.42 * (x + 100.0) + y),
        block(x, y, z, 100.0, 0.0, 3.4, 60.0),
    )
    above = 9.0 - y
    return [
        (np.maximum(union(*shells), above), _TILES),
        (np.maximum(union(*glass), above), _GLASS),
        (podium, _GRANITE),
    ]


SYDNEY_OPERA_HOUSE = Landmark(
    "Sydney_Opera_House",
    _opera_house,
    (100.0, 70.0, 60.0),
    Setting("water", "water", 1.2, "city", (), snow=False, flood=(1.0, 0.85, 0.7)),
    azimuths=(-62.0, 75.0),
    elevations=(0.5, 12.0),
    fill=1.3,
)

_STAINLESS = Material(
    (0.52, 0.54, 0.57), (0.44, 0.46, 0.5), bands(12.0, 0.05), gloss=0.35, grain=0.02
)


def _gateway_arch(x: Field, y: Field, z: Field) -> Parts:
    k = 1.0 / 30.4
    u = np.minimum(np.abs(x), 99.0)
    grow = np.exp(u * k)
    curve = 192.0 - 15.3 * (0.5 * (grow + 1.0 / grow) - 1.0)
    slope = (15.3 * k * 0.5) * (grow - 1.0 / grow)
    offset = (y - curve) / np.sqrt(1.0 + slope * slope)
    girth = 7.2 - 0.023 * np.clip(y, 0.0, 192.0)
    # The section is a triangle whose edge points inwards.
    bar = np.maximum(offset - 0.5 * girth, np.abs(z) * 0.866 - 0.5 * offset - 0.75 * girth)
    bar = np.maximum(bar, np.abs(x) - 99.5)
    return [(bar * 0.8, _STAINLESS)]


GATEWAY_ARCH = Landmark(
    "Gateway_Arch",
    _gateway_arch,
    (99.0, 196.0, 9.0),
    Setting("grass", "grass", 1.3, "city", ("tree",), flood=(0.8, 0.85, 1.0)),
    azimuths=(-58.0, 58.0),
    elevations=(0.0, 9.0),
    fill=1.1,
)

WATER = (ITSUKUSHIMA_TORII, KINDERDIJK, SYDNEY_OPERA_HOUSE, GATEWAY_ARCH)
