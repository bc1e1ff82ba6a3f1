"""Statues, gates and the Atomium."""

import math

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Parts, Setting
from landmarks_tools.sample_gallery.sdf import (
    Field,
    Outline,
    arch,
    around,
    blend,
    block,
    box,
    capsule,
    carve,
    cylinder,
    ellipsoid,
    length,
    sphere,
    square,
    turn,
    union,
)
from landmarks_tools.sample_gallery.surface import (
    Material,
    Surface,
    bands,
    courses,
    fractal,
    noise,
    openings,
    smooth,
)


def _panels(surface: Surface) -> Field:
    """Seams of the triangular plates on the spheres."""
    x, y, z = surface.position * np.float32(1 / 4.5)
    seams = np.minimum(np.abs(y - np.rint(y)), np.abs((x + 0.58 * y) - np.rint(x + 0.58 * y)))
    seams = np.minimum(seams, np.abs(z - 0.58 * y - np.rint(z - 0.58 * y)))
    result: Field = smooth(seams - 0.035, 0.06) * np.clip(1.5 - surface.footprint * 1.5, 0.15, 1.0)
    return result


_MIRROR = Material(
    (0.55, 0.57, 0.60), (0.16, 0.17, 0.19), _panels, gloss=0.42, grain=0.0, glow=(0.9, 0.92, 1.0)
)
_TUBE = Material((0.46, 0.48, 0.50), gloss=0.25, grain=0.02)
_CENTRE, _LOW, _HIGH, _OUT = 51.0, 37.0, 65.0, 39.6


def _atomium(x: Field, y: Field, z: Field) -> Parts:
    # A cube on its corner: its diagonal upright, its other corners in two rings of three.
    out, across, _ = around(x, z, 3)
    side = np.abs(across)
    half, full = _OUT * 0.5, _OUT * math.sqrt(0.75)
    low, high = (0.0, _LOW, _OUT), (full, _HIGH, half)
    middle, top, foot = (0.0, _CENTRE, 0.0), (0.0, 93.0, 0.0), (0.0, 9.0, 0.0)
    balls = union(
        sphere(side, y - _LOW, out - _OUT, 9.0),
        sphere(side - full, y - _HIGH, out - half, 9.0),
        *(sphere(side, y - height, out, 9.0) for height in (9.0, _CENTRE, 93.0)),
    )
    tubes = union(
        *(
            capsule(side, y, out, a, b, 1.55, 1.55)
            for a, b in (
                (foot, low),
                (low, high),
                (high, top),
                (middle, low),
                (middle, high),
                (foot, top),
            )
        ),
    )
    legs = union(
        capsule(side, y, out, (0.0, _LOW, _OUT), (7.5, 0.0, _OUT + 3.0), 0.8, 1.2),
        np.maximum(length(x, z) - 15.0, y - 3.4),
    )
    return [(balls, _MIRROR), (tubes, _TUBE), (legs, Material((0.42, 0.43, 0.44)))]


ATOMIUM = Landmark(
    "Atomium",
    _atomium,
    (49.0, 102.2, 49.0),
    Setting("paving", "grass", 1.25, "trees", ("tree",), flood=(0.75, 0.8, 0.95)),
    elevations=(0.0, 12.0),
    fill=1.05,
)

_COPPER = Material(
    (0.22, 0.42, 0.34),
    (0.11, 0.25, 0.20),
    lambda s: (
        smooth(np.abs(np.sin(s.along * 2.0 + 0.4 * np.sin(s.position[1] * 0.3))) - 0.35, 0.5) * 0.6
    ),
    grain=0.15,
)
_PEDESTAL = Outline.lathe(
    [
        (13, 10),
        (13, 13),
        (10.5, 13.5),
        (9.8, 24),
        (10.4, 24.5),
        (9.4, 25),
        (9.0, 40),
        (10.2, 41),
        (10.2, 43),
        (8.5, 44),
        (7.5, 47),
        (0, 47),
    ]
)
_LIBERTY_STONE = Material(
    (0.56, 0.47, 0.37), (0.3, 0.25, 0.2), openings(4.2, 11.0, (0.3, 0.6), y0=26.0, y1=39.0)
)


def _statue_of_liberty(x: Field, y: Field, z: Field) -> Parts:
    fort = np.maximum(np.minimum(square(x, z) - 24.0, square(*turn(x, z, 45.0)) - 24.0), y - 10.0)
    pedestal = _PEDESTAL(square(x, z), y)
    folds = 0.28 * np.sin(np.arctan2(x, z) * 15.0) * np.clip((72.0 - y) * 0.06, 0.0, 1.0)
    girth = 3.3 + 0.105 * np.clip(72.0 - y, 0.0, 26.0)
    robe = np.maximum(length(x, z * 1.15) - girth + folds, np.abs(y - 59.5) - 12.5) * 0.8
    chest = ellipsoid(x, y - 71.5, z, 4.1, 4.2, 2.8)
    figure = blend(robe, chest, 2.0)
    neck = capsule(x, y, z, (0, 74, 0), (0, 78, 0.3), 1.25, 1.2)
    head = ellipsoid(x, y - 79.6, z - 0.5, 1.75, 2.4, 1.9)
    hair = ellipsoid(x, y - 79.8, z + 0.5, 2.05, 2.1, 1.9)
    raised = union(
        capsule(x, y, z, (-3.0, 73.5, 0), (-5.2, 79.5, 0.6), 1.6, 1.25),
        capsule(x, y, z, (-5.2, 79.5, 0.6), (-5.9, 87.5, 1.2), 1.3, 0.8),
    )
    sleeve = capsule(x, y, z, (-3.4, 72.5, 0), (-4.9, 78.3, 0.3), 2.1, 1.7)
    left = capsule(x, y, z, (3.3, 73.0, 0), (4.7, 67.0, 2.4), 1.7, 1.2)
    tx, ty = turn(x - 5.0, y - 68.5, 14.0)
    tablet = box(tx, ty, z - 3.0, 1.7, 3.6, 0.5)
    angle = np.arctan2(x, y - 80.6)
    spoke = angle - 0.42 * np.clip(np.rint(angle / 0.42), -3, 3)
    r = length(x, y - 80.6)
    spikes = np.maximum(np.maximum(np.abs(spoke) * r - 0.34 * (1.3 - r / 5.6), r - 5.6), -(r - 2.0))
    spikes = np.maximum(spikes, np.abs(z - 0.3) - 0.32) * 0.8
    diadem = np.maximum(np.abs(length(x, z - 0.1) - 2.1) - 0.3, np.abs(y - 80.9) - 0.6)
    torch = union(
        capsule(x, y, z, (-5.9, 87, 1.2), (-6.0, 89.5, 1.2), 0.5, 1.3),
        cylinder(x + 6.0, y, z - 1.2, 1.7, 89.2, 90.0),
    )
    flame = ellipsoid(x + 6.0, y - 91.5, z - 1.2, 1.05, 1.9, 1.05)
    gold = Material((0.85, 0.56, 0.12), gloss=0.2, grain=0.0, lit=3.0)
    walls = Material((0.42, 0.38, 0.33), (0.28, 0.25, 0.22), courses(3.0, 1.6))
    return [
        (
            union(figure, neck, head, hair, raised, sleeve, left, tablet, spikes, diadem, torch),
            _COPPER,
        ),
        (flame, gold),
        (pedestal, _LIBERTY_STONE),
        (fort, walls),
    ]


STATUE_OF_LIBERTY = Landmark(
    "Statue_of_Liberty",
    _statue_of_liberty,
    (15.0, 93.5, 15.0),
    Setting("grass", "water", 3.6, "city", ("tree",), flood=(0.85, 0.95, 0.8)),
    azimuths=(-75.0, 75.0),
    elevations=(0.0, 9.0),
    fill=1.12,
    bounds=(34.5, 93.5, 34.5),
)


def _canopy(surface: Surface) -> Field:
    """Darken the gaps between treetops."""
    x, y, z = surface.position
    return noise(x * 0.9 + y * 0.4, z * 0.9 - y * 0.5)


def _reliefs(surface: Surface) -> Field:
    """Darken the hollows between carved figures."""
    return fractal(surface.along * 0.9, surface.position[1] * 0.55) ** 2 * 1.6


_SOAPSTONE = Material(
    (0.60, 0.58, 0.52), (0.48, 0.46, 0.42), courses(1.1, 0.55, 0.06, 0.25), grain=0.08
)


def _christ(x: Field, y: Field, z: Field) -> Parts:
    ax = np.abs(x)
    v = y - 20.0
    mound = length(x, z) * 0.72 + y * 0.70 - 19.5 + 0.9 * np.sin(x * 0.35) * np.sin(z * 0.31 + 1.0)
    mound = np.maximum(mound * 0.8, y - 12.2)
    plinth = union(
        np.maximum(square(x, z) - 4.0, np.abs(v + 3.5) - 4.5),
        np.maximum(square(x, z) - 3.2, np.abs(v - 1.2) - 0.8),
        np.maximum(square(x, z) - 8.5, np.abs(y - 12.0) - 0.7),
    )
    folds = 0.16 * np.sin(x * 3.0 + 0.4 * v) * np.clip((22.0 - v) * 0.1, 0.0, 1.0)
    robe = length(x, z * 1.25) - (2.35 + 0.055 * np.clip(24.0 - v, 0.0, 24.0)) + folds
    robe = np.maximum(robe, np.abs(v - 12.8) - 11.8) * 0.8
    shoulders = ellipsoid(x, v - 23.6, z, 3.4, 2.3, 1.8)
    body = blend(robe, shoulders, 1.5)
    # Wide sleeves that hang from the arms, narrower at the wrists.
    drop = 1.15 + 0.10 * np.clip(11.0 - ax, 0.0, 9.0)
    arms = np.maximum(np.abs(v - 25.0 + drop - 1.0) - drop, np.abs(z) - 0.95)
    arms = np.maximum(arms, ax - 11.6) * 0.85 - 0.1
    hands = box(ax - 12.8, v - 24.9, z - 0.1, 1.4, 0.33, 0.65) - 0.12
    neck = capsule(x, v, z, (0, 25, 0), (0, 27.5, 0.2), 0.95, 0.9)
    head = ellipsoid(x, v - 28.4, z - 0.35, 1.3, 1.85, 1.5)
    hair = ellipsoid(x, v - 27.7, z + 0.25, 1.55, 2.0, 1.35)
    forest = Material(
        (0.085, 0.14, 0.045),
        (0.015, 0.03, 0.01),
        _canopy,
        grain=0.6,
        grain_size=2.5,
        landmark=False,
        lit=0.3,
    )
    figure = union(blend(body, arms, 1.2), hands, neck, head, hair)
    return [
        (figure, _SOAPSTONE),
        (plinth, Material((0.30, 0.29, 0.28), (0.2, 0.2, 0.2), courses(2.0, 1.0))),
        (mound, forest),
    ]


CHRIST_THE_REDEEMER = Landmark(
    "Christ_the_Redeemer",
    _christ,
    (14.5, 51.0, 9.0),
    Setting(
        "grass", "grass", 1.6, "mountains", ("palm", "tree"), snow=False, flood=(0.95, 0.95, 1.0)
    ),
    azimuths=(-65.0, 65.0),
    elevations=(0.0, 16.0),
    fill=1.15,
    bounds=(27.0, 51.0, 27.0),
)

_PARIS_STONE = Material(
    (0.68, 0.58, 0.44), (0.42, 0.35, 0.26), courses(3.2, 1.5, 0.06, 0.2), grain=0.1
)
_RELIEF = Material((0.62, 0.52, 0.38), (0.16, 0.13, 0.09), _reliefs, grain=0.3, grain_size=1.0)
_FRIEZE = Material(
    (0.66, 0.56, 0.42),
    (0.30, 0.25, 0.18),
    bands(1.9, 0.45, upright=True),
    grain=0.3,
    grain_size=0.8,
)


def _arc_de_triomphe(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    body = block(x, y, z, 22.3, 0.0, 48.5, 11.0)
    body = carve(carve(body, arch(x, y, 7.3, 21.8)), arch(z, y, 4.2, 14.4))
    ledges = union(
        np.maximum(box(x, y - 37.2, z, 23.6, 0.9, 12.3), -100.0 - y),
        box(x, y - 32.4, z, 22.7, 0.4, 11.4),
        box(x, y - 45.4, z, 22.9, 0.5, 11.6),
        box(x, y - 49.0, z, 22.9, 0.7, 11.6),
        carve(block(x, y, z, 22.7, 21.2, 22.2, 11.4), np.minimum(ax - 7.3, az - 4.2)),
    )
    frieze = box(x, y - 34.7, z, 22.5, 1.9, 11.2)
    shields = np.maximum(box(x, y - 42.0, z, 21.6, 2.0, 11.25), -100.0 - y)
    groups = box(ax - 14.8, y - 11.5, az - 11.2, 2.6, 5.5, 0.9) - 0.3
    panels = box(ax - 14.8, y - 27.0, az - 11.0, 4.4, 2.4, 0.25)
    plinth = carve(block(x, y, z, 23.0, 0.0, 4.0, 11.8), np.minimum(ax - 7.3, az - 4.2))
    return [
        (union(body, ledges, plinth), _PARIS_STONE),
        (np.minimum(groups, panels), _RELIEF),
        (np.minimum(frieze, shields), _FRIEZE),
    ]


ARC_DE_TRIOMPHE = Landmark(
    "Arc_de_Triomphe",
    _arc_de_triomphe,
    (24.0, 50.0, 12.5),
    Setting("paving", "paving", 2.0, "city", ("tree",)),
    elevations=(0.0, 9.0),
    fill=1.15,
)

FIGURES = (ATOMIUM, STATUE_OF_LIBERTY, CHRIST_THE_REDEEMER, ARC_DE_TRIOMPHE)
