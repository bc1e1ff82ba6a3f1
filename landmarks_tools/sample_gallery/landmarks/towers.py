"""Towers."""

import dataclasses
import math

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Parts, Setting
from landmarks_tools.sample_gallery.sdf import (
    Field,
    Outline,
    around,
    block,
    box,
    capsule,
    carve,
    cylinder,
    length,
    octagon,
    square,
    union,
)
from landmarks_tools.sample_gallery.surface import (
    Material,
    Pattern,
    Surface,
    bands,
    courses,
    either,
    lattice,
    openings,
    scaled,
)

_IRON = Material((0.27, 0.17, 0.10), (0.09, 0.06, 0.045), lattice(9.0, 0.42), grain=0.05)
_IRON_DECK = Material((0.23, 0.15, 0.09), (0.09, 0.06, 0.04), bands(4.0, 0.3), grain=0.05)


def _eiffel_tower(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    wide, narrow = np.maximum(ax, az), np.minimum(ax, az)
    outer = 60.5 * np.exp(y * (-1.0 / 88.0)) + 2.2
    inner = 41.0 * np.exp(y * (-1.0 / 66.0)) - 4.0
    legs = np.maximum(np.maximum(wide - outer, inner - narrow) * 0.82, y - 300.0)
    ring = np.abs(length(narrow, y - 6.0) - 39.5) - 2.2
    arches = np.maximum(np.maximum(ring, np.abs(wide - outer + 3.0) - 2.0), 8.0 - y)
    decks = union(
        carve(np.maximum(wide - 37.0, np.abs(y - 58.5) - 3.8), wide - 17.0),
        np.maximum(wide - 21.0, np.abs(y - 116.0) - 3.4),
        np.maximum(wide - 8.0, np.abs(y - 278.0) - 3.5),
    )
    mast = union(
        np.maximum(wide - 3.6, np.abs(y - 290.0) - 10.0),
        capsule(x, y, z, (0, 298, 0), (0, 329, 0), 1.5, 0.6),
    )
    feet = np.maximum(np.maximum(wide - 65.0, 35.0 - narrow), y - 4.0)
    stone = Material((0.45, 0.40, 0.32), grain=0.1)
    return [(legs, _IRON), (arches, _IRON_DECK), (union(decks, mast), _IRON_DECK), (feet, stone)]


EIFFEL_TOWER = Landmark(
    "Eiffel_Tower",
    _eiffel_tower,
    (66.0, 330.0, 66.0),
    Setting("gravel", "grass", 1.6, "city", ("tree",)),
    fill=1.08,
)

_CLOCK_TOWER = Outline.lathe(
    [
        (7.6, 0),
        (7.6, 6),
        (7.0, 7),
        (7.0, 53),
        (8.3, 55),
        (8.3, 68),
        (7.4, 69.5),
        (7.0, 72),
        (6.4, 73),
        (3.3, 82),
        (3.9, 82.5),
        (3.9, 86.5),
        (3.0, 87),
        (0.5, 97),
        (0.3, 101),
        (0, 101),
    ]
)
_CLOCK_STONE = Material(
    (0.50, 0.38, 0.21),
    (0.17, 0.12, 0.07),
    either(
        openings(2.0, 8.5, (0.42, 0.8), y0=8.0, y1=53.0, arched=True), scaled(bands(4.2, 0.1), 0.5)
    ),
    glow=(0.5, 0.35, 0.12),
)
_CLOCK_ROOF = Material((0.10, 0.115, 0.13), (0.42, 0.31, 0.10), bands(3.1, 0.22), gloss=0.05)


def _dial(surface: Surface) -> Field:
    """Accent the numerals' ring and both hands, at ten to two."""
    ax, az = np.abs(surface.position[0]), np.abs(surface.position[2])
    u = np.where(ax < az, surface.position[0], surface.position[2])
    v = surface.position[1] - 61.5
    ring = np.abs(length(u, v) - 2.9) - 0.22
    hour = np.abs(u * 0.5 - v * 0.866) + np.where(u * 0.866 + v * 0.5 < 0, 9.0, 0.0)
    minute = np.abs(u * 0.5 + v * 0.866) + np.where(-u * 0.866 + v * 0.5 < 0, 9.0, 0.0)
    hands = np.minimum(hour, minute) - 0.25
    result: Field = np.clip(
        0.5 - np.minimum(ring, np.maximum(hands, length(u, v) - 3.0)) * 3.0, 0.0, 0.9
    )
    return result


def _big_ben(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    wide, narrow = np.maximum(ax, az), np.minimum(ax, az)
    tower = _CLOCK_TOWER(wide, y)
    pinnacles = np.maximum(length(ax - 7.6, az - 7.6) - 0.9 * (74.5 - y) / 6.0, 68.0 - y)
    stone = np.where(y < 72.6, tower, tower + 0.05)
    roof = np.where(y < 72.6, tower + 0.05, tower)
    face = np.maximum(length(narrow, y - 61.5) - 3.6, wide - 8.55)
    frame = np.maximum(np.abs(length(narrow, y - 61.5) - 3.9) - 0.42, wide - 8.75)
    white = Material((0.86, 0.84, 0.74), (0.03, 0.03, 0.05), _dial, grain=0.0, glow=None, lit=2.2)
    gold = Material((0.55, 0.38, 0.11), gloss=0.1, grain=0.0)
    palace = np.minimum(
        block(x - 42.0, y, z + 6.0, 36.0, 0.0, 21.0, 8.0),
        np.maximum(square(np.abs(x - 42.0) - 30.0, z - 2.0) - 2.2, y - 30.0),
    )
    gothic = dataclasses.replace(
        _CLOCK_STONE, pattern=openings(3.2, 6.5, (0.45, 0.75), arched=True), landmark=False
    )
    return [
        (stone, _CLOCK_STONE),
        (np.minimum(roof, pinnacles), _CLOCK_ROOF),
        (face, white),
        (frame, gold),
        (palace, gothic),
    ]


BIG_BEN = Landmark(
    "Big_Ben",
    _big_ben,
    (10.0, 101.0, 10.0),
    Setting("paving", "paving", 1.5, "city", ("tree",)),
    bounds=(79.0, 101.0, 15.0),
    fill=1.05,
)

_LEAN = math.radians(5.0)
_PISA = Outline.lathe(
    [(8.0, 0), (8.0, 1), (7.6, 1.2), (7.6, 10.3), (8.1, 10.6), (8.1, 11.2), (7.2, 11.3)]
    + [
        point
        for floor in range(6)
        for point in (
            (7.3, 11.4 + 6 * floor),
            (7.3, 16.4 + 6 * floor),
            (8.0, 16.7 + 6 * floor),
            (8.0, 17.3 + 6 * floor),
        )
    ]
    + [(5.7, 47.4), (5.7, 54.5), (6.2, 55), (6.2, 56), (0, 56)]
)


def _leaning(inner: Pattern) -> Pattern:
    """Turn a pattern with the tower."""

    def pattern(surface: Surface) -> Field:
        x, y, z = surface.position
        c, s = math.cos(_LEAN), math.sin(_LEAN)
        position = np.stack([c * x - s * y, c * y + s * x, z])
        return inner(dataclasses.replace(surface, position=position))

    return pattern


_MARBLE = Material(
    (0.72, 0.67, 0.57),
    (0.16, 0.14, 0.12),
    _leaning(
        either(
            openings(1.65, 6.0, (0.62, 0.72), y0=11.2, y1=47.0, arched=True, round_about=7.88),
            scaled(openings(3.3, 9.5, (0.6, 0.8), y1=9.6, arched=True, round_about=7.88), 0.45),
            openings(4.9, 8.5, (0.4, 0.62), y0=47.0, y1=54.0, arched=True, round_about=7.8),
        )
    ),
    grain=0.08,
)


def _tower_of_pisa(x: Field, y: Field, z: Field) -> Parts:
    c, s = math.cos(_LEAN), math.sin(_LEAN)
    u, v = c * x - s * y + 1.8, c * y + s * x
    tower = _PISA(length(u, z), v)
    return [(np.maximum(tower, -y), _MARBLE)]


TOWER_OF_PISA = Landmark(
    "Leaning_Tower_of_Pisa",
    _tower_of_pisa,
    (13.0, 58.0, 9.0),
    Setting("paving", "grass", 1.7, "trees", ("cypress", "tree"), snow=False),
    fill=1.0,
)

_SAUCER = Outline.lathe(
    [
        (6, 146),
        (13, 149),
        (14, 151),
        (21.5, 154.5),
        (21.5, 156),
        (15.5, 157.5),
        (15.5, 161),
        (10, 163),
        (5, 165.5),
        (2, 169),
        (1, 172),
        (0.35, 184),
        (0, 184),
    ]
)
_SAUCER_BANDS = Material(
    (0.76, 0.74, 0.70), (0.12, 0.14, 0.17), bands(6.0, 0.25), grain=0.03, glow=(1.0, 0.75, 0.35)
)


def _space_needle(x: Field, y: Field, z: Field) -> Parts:
    out, across, _ = around(x, z, 3)
    low, high = np.maximum(113.0 - y, 0.0), np.maximum(y - 113.0, 0.0)
    spread = 4.2 + 0.0010 * low * low + 0.0055 * high * high
    leg = np.maximum(np.abs(out - spread) - 1.5, np.abs(np.abs(across) - 1.9) - 0.85)
    legs = np.maximum(leg * 0.9, y - 150.0)
    core = np.maximum(length(x, z) - 2.6, y - 150.0)
    ring = cylinder(x, y, z, 10.5, 30.0, 33.0)
    foot = cylinder(x, y, z, 19.0, 0.0, 4.5)
    white = Material((0.80, 0.78, 0.74), grain=0.03)
    grey = Material((0.34, 0.35, 0.36), (0.1, 0.1, 0.1), bands(8.0, 0.2))
    return [
        (legs, white),
        (union(core, ring, foot), grey),
        (_SAUCER(length(x, z), y), _SAUCER_BANDS),
    ]


SPACE_NEEDLE = Landmark(
    "Space_Needle",
    _space_needle,
    (22.0, 185.0, 22.0),
    Setting("paving", "grass", 1.5, "city", ("tree", "conifer"), flood=(0.8, 0.85, 1.0)),
    fill=1.1,
)

_PETRONAS = Outline.lathe(
    [
        (26, 0),
        (26, 30),
        (24, 31),
        (24, 252),
        (21.5, 253),
        (21.5, 288),
        (18.5, 289),
        (18.5, 322),
        (15, 323),
        (14, 345),
        (10.5, 346),
        (9, 364),
        (6.5, 365),
        (5, 378),
        (2.6, 386),
        (3, 392),
        (1, 398),
        (0.8, 450),
        (0, 452),
    ]
)
_STEEL = Material(
    (0.50, 0.53, 0.56),
    (0.10, 0.13, 0.17),
    either(bands(8.4, 0.42), scaled(bands(4.2, 0.4), 0.6)),
    gloss=0.12,
    grain=0.03,
    glow=(0.95, 0.85, 0.6),
)


def _petronas_towers(x: Field, y: Field, z: Field) -> Parts:
    ax = np.abs(x) - 31.0
    turned = np.maximum(octagon(ax, z), 0.93 * length(ax, z))
    star = np.minimum(square(ax, z), np.maximum(turned, (np.abs(ax) + np.abs(z)) * 0.72))
    tower = _PETRONAS(np.maximum(star, 0.9 * length(ax, z)), y) * 0.9
    bustle = np.maximum(length(ax - 20.0, z - 14.0) - 13.0, y - 190.0)
    bridge = box(x, y - 174.0, z, 12.0, 4.5, 3.0)
    strut = capsule(np.abs(x), y, z, (0, 169, 0), (13, 122, 0), 1.0, 1.0)
    podium = block(x, y, z, 62.0, 0.0, 18.0, 38.0)
    mall = Material((0.55, 0.50, 0.45), (0.2, 0.2, 0.22), courses(9.0, 6.0))
    return [
        (np.minimum(tower, bustle), _STEEL),
        (np.minimum(bridge, strut), Material((0.42, 0.44, 0.46), gloss=0.1)),
        (podium, mall),
    ]


PETRONAS_TOWERS = Landmark(
    "Petronas_Towers",
    _petronas_towers,
    (64.0, 452.0, 40.0),
    Setting("paving", "grass", 1.4, "city", ("palm", "tree"), snow=False, flood=(0.9, 0.95, 1.0)),
    fill=1.08,
)

TOWERS = (EIFFEL_TOWER, BIG_BEN, TOWER_OF_PISA, SPACE_NEEDLE, PETRONAS_TOWERS)
