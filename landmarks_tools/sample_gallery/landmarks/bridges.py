"""Bridges."""

import numpy as np

from landmarks_tools.sample_gallery.scene import Landmark, Parts, Setting
from landmarks_tools.sample_gallery.sdf import (
    Field,
    Outline,
    block,
    box,
    carve,
    frustum,
    length,
    octagon,
    repeat,
    square,
    union,
)
from landmarks_tools.sample_gallery.surface import (
    Material,
    bands,
    either,
    lattice,
    openings,
    scaled,
)

_ORANGE = Material((0.56, 0.10, 0.045), (0.36, 0.06, 0.03), bands(11.0, 0.12), grain=0.06)
_DECK = Material((0.50, 0.09, 0.045), (0.20, 0.04, 0.025), lattice(9.0, 0.4), grain=0.04)
_CONCRETE = Material((0.45, 0.42, 0.38), grain=0.15)


def _golden_gate(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    u = ax - 330.0
    width = 6.2 - 0.016 * y
    legs = np.maximum(np.maximum(np.abs(u) - width, np.abs(az - 14.0) - 0.55 * width), y - 227.0)
    struts = union(
        *(
            block(u, y, z, 3.6, low, low + tall, 14.0)
            for low, tall in ((214.0, 12.0), (176.0, 9.0), (139.0, 9.0), (102.0, 9.0), (28.0, 7.0))
        ),
    )
    brace = np.abs(az - 14.0 * (np.abs(y - 49.0) / 14.0)) * 0.7 - 1.6
    brace = np.maximum(np.maximum(brace, np.abs(u) - 2.5), np.abs(y - 49.0) - 16.0)
    deck = np.maximum(np.abs(y - 71.0) - 4.6, az - 13.6)
    inner = np.minimum(ax, 330.0)
    slope = 2.0 * 142.0 / 330.0**2 * inner
    sag = 80.0 + 142.0 * (inner * (1.0 / 330.0)) ** 2 - 0.52 * np.maximum(u, 0.0)
    slope = np.where(u > 0, np.float32(0.52), slope)
    cable = length((y - sag) / np.sqrt(1.0 + slope * slope), az - 14.0) - 1.25
    hangers = length(repeat(x, 19.0, 61), az - 14.0) - 0.42
    hangers = np.maximum(hangers, np.maximum(y - sag, 72.0 - y))
    piers = np.maximum(np.maximum(np.abs(u) - 13.0, az - 26.0), y - 12.0)
    abutment = np.maximum(box(ax - 620.0, y - 35.0, z, 9.0, 35.0, 15.0), y - 70.0)
    tower = union(legs, struts, brace)
    return [
        (union(tower, cable, hangers), _ORANGE),
        (deck, _DECK),
        (np.minimum(piers, abutment), _CONCRETE),
    ]


GOLDEN_GATE_BRIDGE = Landmark(
    "Golden_Gate_Bridge",
    _golden_gate,
    (400.0, 229.0, 27.0),
    Setting("water", "water", 1.2, "mountains", (), snow=False, flood=(1.0, 0.6, 0.3)),
    azimuths=(18.0, 68.0),
    elevations=(0.5, 9.0),
    fill=1.25,
    bounds=(629.0, 229.0, 27.0),
)

_BRIDGE_TOWER = Outline.lathe(
    [
        (10.4, 0),
        (10.4, 46),
        (9.0, 47),
        (8.0, 50),
        (4.4, 61),
        (4.8, 61.5),
        (1.4, 63),
        (0.3, 70),
        (0, 70),
    ]
)
_GOTHIC = Material(
    (0.56, 0.47, 0.34),
    (0.14, 0.12, 0.11),
    either(
        openings(4.4, 8.2, (0.36, 0.66), y0=13.0, y1=46.0, arched=True),
        scaled(bands(8.2, 0.09), 0.5),
    ),
    glow=(1.0, 0.65, 0.25),
)
_SLATE = Material((0.17, 0.19, 0.22), (0.1, 0.11, 0.13), bands(1.6, 0.3))
_BLUE_STEEL = Material((0.17, 0.36, 0.53), (0.75, 0.78, 0.80), lattice(4.5, 0.4), grain=0.04)


def _tower_bridge(x: Field, y: Field, z: Field) -> Parts:
    ax, az = np.abs(x), np.abs(z)
    u = ax - 40.0
    wide = square(u, z)
    tower = _BRIDGE_TOWER(wide, y)
    gate = np.maximum(
        np.maximum(az - 5.0, np.abs(y - 14.0) - 7.5), length(np.maximum(y - 17.0, 0.0), az) - 5.0
    )
    tower = carve(tower, gate)
    corner_u, corner_z = np.abs(u) - 9.8, az - 9.8
    turret = np.maximum(octagon(corner_u, corner_z) - 2.3, y - 51.0)
    spire = frustum(length(corner_u, corner_z), y, 2.6, 51.0, 0.1, 63.0)
    stone = np.minimum(np.where(y < 46.4, tower, tower + 0.05), turret)
    roof = np.minimum(np.where(y < 46.4, tower + 0.05, tower), spire)
    pier = np.maximum(length(u, np.maximum(az - 12.0, 0.0)) - 15.5, y - 8.0)
    walks = np.maximum(np.maximum(np.abs(y - 43.0) - 2.6, np.abs(az - 5.5) - 1.9), ax - 32.0)
    deck = np.maximum(np.abs(y - 9.8 - 0.0009 * ax * (40.0 - np.minimum(ax, 40.0))) - 1.4, az - 8.0)
    # Chains hang from the towers to the small abutment towers, with rods down to the road.
    out = np.clip((ax - 50.0) * (1.0 / 78.0), 0.0, 1.0)
    chain_y = 42.0 - 56.0 * out + 33.0 * out * out
    chain = np.maximum(np.abs(y - chain_y) * 0.75 - 2.0, np.abs(az - 7.6) - 0.7)
    chain = np.maximum(chain, np.abs(ax - 90.0) - 40.0)
    rods = np.maximum(length(repeat(ax - 90.0, 7.0, 11), az - 7.6) - 0.3, np.abs(ax - 90.0) - 40.0)
    rods = np.maximum(rods, np.maximum(y - chain_y, 9.0 - y))
    end = np.maximum(_BRIDGE_TOWER(square(ax - 131.0, z) * 1.5, y * 2.2) * 0.42, -gate)
    return [
        (np.minimum(stone, end), _GOTHIC),
        (roof, _SLATE),
        (pier, _CONCRETE),
        (union(walks, chain, rods, deck), _BLUE_STEEL),
    ]


TOWER_BRIDGE = Landmark(
    "Tower_Bridge",
    _tower_bridge,
    (105.0, 70.0, 29.0),
    Setting("water", "water", 1.2, "city", (), flood=(1.0, 0.8, 0.55)),
    azimuths=(-62.0, 62.0),
    elevations=(0.5, 9.0),
    fill=1.25,
    bounds=(142.0, 70.0, 29.0),
)

BRIDGES = (GOLDEN_GATE_BRIDGE, TOWER_BRIDGE)
