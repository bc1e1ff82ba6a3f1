"""Domed buildings."""

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Parts, Setting
from landmarks_tools.sample_gallery.sdf import (
    Field,
    Outline,
    arc,
    arch,
    around,
    block,
    carve,
    frustum,
    length,
    octagon,
    onion,
    square,
    union,
)
from landmarks_tools.sample_gallery.surface import (
    Colour,
    Material,
    Pattern,
    Surface,
    bands,
    courses,
    either,
    openings,
    scaled,
    smooth,
)

_WHITE_MARBLE = Material(
    (0.80, 0.76, 0.69),
    (0.46, 0.42, 0.38),
    either(
        openings(8.2, 14.0, (0.5, 0.72), y0=8.0, y1=37.0, arched=True),
        scaled(courses(3.0, 1.5), 0.12),
    ),
    grain=0.06,
)
_PLAIN_MARBLE = Material(
    (0.82, 0.78, 0.71), (0.66, 0.62, 0.56), courses(3.0, 1.6, 0.06, 0.1), grain=0.06
)
_TAJ_DOME = Outline.lathe(
    [(11.5, 34), (11.5, 42.5), (12.6, 43), *onion(12.0, 43.2, 15.0, 27.0)[1:], (0, 76)]
)
_CHATTRI = Outline.lathe(
    [
        (3.4, 34),
        (3.4, 40.5),
        (4.9, 41),
        (4.7, 41.7),
        (4.2, 42),
        (4.3, 44),
        (3.3, 46.5),
        (0.7, 49),
        (0.1, 51),
        (0, 51),
    ]
)
_MINARET = Outline.lathe(
    [
        (3.1, 6),
        (2.9, 16),
        (3.7, 16.3),
        (3.7, 17),
        (2.6, 17.2),
        (2.4, 28),
        (3.2, 28.3),
        (3.2, 29),
        (2.1, 29.2),
        (2.0, 39),
        (3.1, 39.4),
        (3.1, 40),
        (1.7, 40.2),
        (1.7, 43.4),
        (2.5, 44),
        (2.1, 46),
        (0.8, 48),
        (0.1, 50),
        (0, 50),
    ]
)


def _taj_mahal(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    wide, narrow = np.maximum(ax, az), np.minimum(ax, az)
    body = np.maximum(np.maximum(wide - 28.5, (ax + az) * 0.7071 - 33.6), np.abs(y - 20.0) - 14.0)
    porch = np.maximum(np.maximum(wide - 30.0, narrow - 10.2), np.abs(y - 22.0) - 17.5)
    # A pointed arch: two circles that cross at the top.
    pointed = np.maximum(length(narrow + 4.5, np.maximum(y - 24.0, 0.0)) - 11.4, 6.0 - y)
    niche = np.maximum(pointed, 24.5 - wide)
    porch = carve(porch, niche)
    body = carve(body, niche)
    chattri = _CHATTRI(length(ax - 17.5, az - 17.5), y)
    minaret = _MINARET(length(ax - 43.0, az - 43.0), y)
    plinth = np.minimum(block(x, y, z, 47.8, 0.0, 6.0, 47.8), np.maximum(wide - 60.0, y - 1.0))
    dome = _TAJ_DOME(length(x, z), y)
    recess = np.maximum(np.maximum(wide - 24.8, narrow - 6.9), np.abs(y - 18.0) - 13.0)
    door = Material(
        (0.42, 0.37, 0.32), (0.13, 0.11, 0.1), openings(4.4, 13.0, (0.5, 0.62), y0=7.0, arched=True)
    )
    return [
        (np.minimum(body, porch), _WHITE_MARBLE),
        (recess, door),
        (union(dome, chattri, minaret, plinth), _PLAIN_MARBLE),
    ]


TAJ_MAHAL = Landmark(
    "Taj_Mahal",
    _taj_mahal,
    (50.0, 76.0, 50.0),
    Setting(
        "paving", "grass", 1.5, "trees", ("cypress", "tree"), snow=False, flood=(0.7, 0.75, 1.0)
    ),
    elevations=(0.0, 9.0),
    fill=1.15,
    bounds=(60.5, 76.5, 60.5),
)


def _tile_bands(surface: Surface) -> Field:
    """Accent the dark blue frieze and the arches in the octagon's tiles."""
    y = surface.position[1]
    frieze = smooth(np.abs(y - 10.6) - 0.9, 0.3)
    return np.maximum(frieze, openings(3.3, 7.6, (0.46, 0.7), y0=4.2, y1=9.4, arched=True)(surface))


_TURQUOISE = Material(
    (0.17, 0.36, 0.47), (0.03, 0.07, 0.22), _tile_bands, grain=0.25, grain_size=1.2
)
_DADO = Material((0.66, 0.61, 0.53), (0.50, 0.46, 0.4), courses(2.4, 2.0, 0.05, 0.15))
_DRUM = Material(
    (0.12, 0.29, 0.44),
    (0.62, 0.58, 0.36),
    openings(3.6, 6.2, (0.35, 0.6), y0=13.5, y1=21.0, arched=True, round_about=11.4),
    grain=0.3,
    grain_size=1.0,
)
_GOLD = Material((0.78, 0.50, 0.085), (0.62, 0.38, 0.06), bands(1.5, 0.14), gloss=0.16, grain=0.04)
_GOLD_DOME = Outline.lathe(
    [
        (12.4, 20.6),
        (12.6, 21.4),
        (11.9, 21.8),
        (12.1, 24),
        *arc((0, 24.5), (12.1, 11.6), 5, 78, 9),
        (0.5, 36.2),
        (0.3, 39.4),
        (0, 39.5),
    ]
)


def _dome_of_the_rock(x: Field, y: Field, z: Field) -> Parts:
    wide = octagon(x, z)
    walls = np.maximum(wide - 27.0, np.abs(y - 6.6) - 5.4)
    base = np.maximum(wide - 27.15, np.abs(y - 2.6) - 1.8)
    roof = frustum(wide, y, 26.6, 11.9, 12.0, 14.2)
    terrace = np.maximum(wide - 40.0, y - 0.8)
    doors = np.maximum(
        arch(np.minimum(np.abs(x), np.abs(z)), y, 2.2, 5.4), 28.6 - np.maximum(np.abs(x), np.abs(z))
    )
    porch = np.maximum(
        np.maximum(np.minimum(np.abs(x), np.abs(z)) - 4.2, square(x, z) - 29.6), y - 8.4
    )
    porch = carve(porch, doors)
    drum = np.maximum(length(x, z) - 11.6, np.abs(y - 17.0) - 4.2)
    lead = Material((0.42, 0.42, 0.42), grain=0.1)
    return [
        (walls, _TURQUOISE),
        (union(base, terrace, porch), _DADO),
        (roof, lead),
        (drum, _DRUM),
        (_GOLD_DOME(length(x, z), y), _GOLD),
    ]


DOME_OF_THE_ROCK = Landmark(
    "Dome_of_the_Rock",
    _dome_of_the_rock,
    (30.0, 39.6, 30.0),
    Setting("paving", "paving", 1.6, "hills", ("cypress",), snow=False),
    elevations=(0.0, 13.0),
    fill=1.1,
    bounds=(40.5, 39.6, 40.5),
)

_RED_BRICK = Material(
    (0.42, 0.10, 0.06),
    (0.78, 0.72, 0.62),
    either(bands(6.3, 0.16), openings(2.6, 5.4, (0.34, 0.62), arched=True)),
    grain=0.12,
    glow=(0.6, 0.35, 0.1),
)
_TALL = Outline.lathe(
    [
        (4.6, 0),
        (4.6, 26),
        (5.2, 26.5),
        (5.2, 27.5),
        (3.2, 28),
        (3.2, 32.5),
        (2.6, 33),
        *onion(3.0, 33.0, 5.3, 12.5)[1:],
        (0.25, 46),
        (0.2, 49),
        (0, 49),
    ]
)
_SHORT = Outline.lathe(
    [
        (4.0, 0),
        (4.0, 17),
        (4.5, 17.4),
        (4.5, 18.4),
        (2.7, 19),
        (2.7, 22.5),
        (2.2, 23),
        *onion(2.6, 23.0, 4.3, 10.0)[1:],
        (0.25, 33.5),
        (0.2, 36),
        (0, 36),
    ]
)
_TENT = Outline.lathe(
    [
        (8.0, 0),
        (8.0, 30),
        (6.6, 31),
        (6.6, 35),
        (6.0, 36),
        (5.4, 38),
        (1.9, 52),
        (1.9, 54),
        *onion(1.7, 54.0, 2.6, 6.5)[1:],
        (0.2, 61),
        (0.15, 65),
        (0, 65),
    ]
)


def _swirl(turns: float, count: int) -> Pattern:
    """Stripe each dome about its own axis, `turns` stripes a metre of height."""

    def pattern(surface: Surface) -> Field:
        x, y, z = surface.position
        bearing = np.arctan2(x, z)
        sector = 6.2832 / 8
        own = np.rint(bearing / sector) * sector
        u, w = x - 14.0 * np.sin(own), z - 14.0 * np.cos(own)
        phase = np.arctan2(u, w) * (count / 6.2832) + y * turns
        return smooth(np.abs(phase - np.rint(phase)) - 0.25, 0.12)

    return pattern


def _dome_paint(colour: Colour, accent: Colour, turns: float, count: int) -> Material:
    return Material(colour, accent, _swirl(turns, count), grain=0.05, gloss=0.03)


_PAINTS = (
    _dome_paint((0.05, 0.30, 0.14), (0.72, 0.56, 0.08), 0.35, 8),
    _dome_paint((0.62, 0.10, 0.06), (0.10, 0.34, 0.16), 0.0, 10),
    _dome_paint((0.08, 0.20, 0.55), (0.80, 0.80, 0.78), -0.30, 8),
    _dome_paint((0.72, 0.52, 0.10), (0.10, 0.36, 0.20), 0.55, 6),
)


def _saint_basils(x: Field, y: Field, z: Field) -> Parts:
    out, across, wedge = around(x, z, 8)
    r = length(out - 14.0, across)
    large = (wedge.astype(np.int32) & 1) == 0
    towers = np.where(large, _TALL(r, y), _SHORT(r, y))
    # A neighbour of the other size may be nearer than this wedge's own tower.
    border = np.maximum(5.4 - np.abs(across), 0.0) + 0.3
    towers = np.where(towers > border, np.maximum(border, 0.5 * towers), towers)
    neck = np.where(large, np.float32(33.0), np.float32(23.0))
    shaft = np.where(y < neck, towers, towers + 0.05)
    tent = _TENT(octagon(x, z), y)
    base = union(
        np.maximum(square(x, z) - 19.5, y - 8.0),
        np.maximum(octagon(x, z) - 15.0, y - 15.0),
    )
    gold = np.where(y > 53.0, tent, tent + 0.05)
    parts: Parts = [
        (union(shaft, tent + 0.02, base), _RED_BRICK),
        (gold, _GOLD),
        (np.where((y > 36.5) & (y <= 53.0), tent, tent + 0.05), _TENT_ROOF),
    ]
    kind = (wedge * 3 % 4).astype(np.int32)
    parts += [
        (np.where((y >= neck) & (kind == index), towers, towers + 0.05), paint)
        for index, paint in enumerate(_PAINTS)
    ]
    return parts


_TENT_ROOF = Material((0.36, 0.12, 0.07), (0.70, 0.62, 0.42), bands(3.2, 0.3), grain=0.1)

SAINT_BASILS = Landmark(
    "Saint_Basils_Cathedral",
    _saint_basils,
    (20.5, 65.0, 20.5),
    Setting("paving", "paving", 1.6, "city", ("tree",)),
    elevations=(0.0, 11.0),
    fill=1.1,
)

DOMES = (TAJ_MAHAL, DOME_OF_THE_ROCK, SAINT_BASILS)
