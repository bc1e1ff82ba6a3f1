"""The study's figures: maps of photos, charts of factors and of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from landmarks.retrieval.clusters import Clusters
from landmarks.retrieval.projection import Floats, Labels
from landmarks_tools.evaluation.study.svg import (
    MARKS,
    SvgFigure,
    colour,
    line,
    mark,
    number,
    text,
    titled,
)

_SIDE = 640
_MARGIN = 30
_FONT = 13
_LETTER = 7.6  # pixels of a bold letter, rounded up so that labels never touch
_TOO_MANY = 3  # marks that a name may not hide; one or two it may
_MANY = 1_500  # photos; titles for more would make the page too large


def readable(name: str) -> str:
    """Return a landmark's name for display."""
    return name.replace("_", " ")


def map_figure(
    model: str,
    points: Floats,
    labels: Labels,
    landmarks: Sequence[str],
    clusters: Clusters,
    titles: Sequence[str] = (),
) -> SvgFigure:
    """Draw points (N, 2) of the unit square; a ring is around those in no cluster.

    A landmark with a cluster of its own is named beside it where there is room. Hovering over a
    point shows its title of `titles` (N), or else its landmark.
    """
    places = _MARGIN + points * (_SIDE - 2 * _MARGIN)
    size = float(np.clip(90 / np.sqrt(len(points)), 2.0, 5.0))
    outside = clusters.outside
    parts: list[str] = []
    for landmark in np.unique(labels).tolist():
        parts.append(f'<g fill="{colour(landmark)}" fill-opacity=".9">')
        parts.append(f"<title>{escape(readable(landmarks[landmark]))}</title>")
        for i in np.flatnonzero(labels == landmark).tolist():
            x, y = places[i].tolist()
            shape = mark(landmark, x, y, size)
            parts.append(titled(shape, titles[i]) if titles and len(points) <= _MANY else shape)
        parts.append("</g>")
    parts += [
        f'<circle class="ring" cx="{number(x)}" cy="{number(y)}" r="{number(size + 2.6)}"/>'
        for x, y in places[outside]
    ]
    parts += _labels(places, landmarks, clusters, size)
    described = (
        f"{len(points)} photos of {len(np.unique(labels))} landmarks, {int(outside.sum())} of them"
        f" in no cluster and ringed. {len(clusters.compact)} landmarks have"
        " most of their photos in a cluster of their own."
    )
    return SvgFigure(_SIDE, _SIDE, f"t-SNE map of {model}", described, "".join(parts))


def _labels(places: Floats, landmarks: Sequence[str], clusters: Clusters, size: float) -> list[str]:
    """Return the labels of compact landmarks, largest clusters first, without overlaps."""
    taken: list[tuple[float, float, float, float]] = []
    drawn: list[str] = []
    too_many = max(_TOO_MANY, len(places) // 400)
    members = {landmark: places[own] for landmark, own in clusters.compact.items()}
    for landmark in sorted(members, key=lambda each: (-len(members[each]), each)):
        group = members[landmark]
        (left, top), (right, bottom) = group.min(axis=0), group.max(axis=0)
        width = _LETTER * len(readable(landmarks[landmark]))
        middle = float(np.clip((left + right) / 2, width / 2 + 2, _SIDE - width / 2 - 2))
        spots = [
            (middle, top - 10),
            (middle, bottom + _FONT + 9),
            (right + width / 2 + 10, (top + bottom) / 2 + _FONT / 3),
            (left - width / 2 - 10, (top + bottom) / 2 + _FONT / 3),
        ]
        boxes = [(x - width / 2, y - _FONT, x + width / 2, y + 4) for x, y in spots]
        hidden = [_covered(box, places, size) if _fits(box, taken) else too_many for box in boxes]
        best = int(np.argmin(hidden))  # the first of the equally good ones
        if hidden[best] < too_many:
            taken.append(boxes[best])
            name = readable(landmarks[landmark])
            drawn.append(text(*spots[best], name, kind="label", anchor="middle"))
    return drawn


def _fits(
    box: tuple[float, float, float, float], taken: Sequence[tuple[float, float, float, float]]
) -> bool:
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > _SIDE or bottom > _SIDE:
        return False
    return all(right < a or left > c or bottom < b or top > d for a, b, c, d in taken)


def _covered(box: tuple[float, float, float, float], places: Floats, size: float) -> int:
    """Return how many marks of this size a name in this box would touch."""
    left, top, right, bottom = box
    x, y = places.T
    across = (x > left - size) & (x < right + size)
    return int((across & (y > top - size) & (y < bottom + size)).sum())


def legend_mark(index: int) -> SvgFigure:
    """Draw one landmark's mark alone."""
    body = f'<g fill="{colour(index)}">{mark(index, 8, 8, 5)}</g>'
    return SvgFigure(16, 16, "", "", body)


def legend_figure(landmarks: Sequence[str]) -> SvgFigure:
    """Draw the landmarks' marks, for pages without a list of them."""
    columns, row, wide = 3, 22, 290
    rows = -(-len(landmarks) // columns)
    parts = []
    for index, name in enumerate(landmarks):
        x, y = 16 + index // rows * wide, 18 + index % rows * row
        short = readable(name) if len(name) <= 34 else f"{readable(name)[:33]}…"
        parts.append(f'<g fill="{colour(index)}">{mark(index, x, y, 5)}</g>')
        parts.append(text(x + 14, y + 4, short))
    if len(landmarks) > MARKS:
        parts.append(text(16, 18 + rows * row, f"Marks repeat after {MARKS}."))
    height = 30 + rows * row
    names = f"The marks of {len(landmarks)} landmarks"
    return SvgFigure(columns * wide, height, "Legend", names, "".join(parts))


@dataclass(frozen=True)
class Series:
    """A line of a chart: y at each x, and an interval around each if there are any."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    intervals: Sequence[tuple[float, float]] = ()


def chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_ticks: Mapping[float, str],
    y_range: tuple[float, float],
    percent: bool = False,
) -> SvgFigure:
    """Draw lines with points and intervals; several lines get a legend below."""
    width, plot_bottom, left, top, right = 340, 210, 48, 30, 326
    low, high = min(x_ticks), max(x_ticks)
    floor, ceiling = y_range
    inset = 32 if any(each.intervals for each in series) else 8  # room for the words of a quarter

    def across(x: float) -> float:
        return left + inset + (x - low) / ((high - low) or 1) * (right - left - 2 * inset)

    def up(y: float) -> float:
        return plot_bottom - (y - floor) / ((ceiling - floor) or 1) * (plot_bottom - top)

    parts = [text(4, 16, y_label, kind="faint")]
    for tick in np.linspace(floor, ceiling, 5):
        words = f"{tick:.0%}" if percent else f"{tick:.3g}"
        parts.append(line(left, up(tick), right, up(tick), kind="grid"))
        parts.append(text(left - 6, up(tick) + 4, words, kind="faint", anchor="end"))
    parts.append(line(left, plot_bottom, right, plot_bottom, kind="axis"))
    for x, words in x_ticks.items():
        parts.append(text(across(x), plot_bottom + 17, words, kind="faint", anchor="middle"))
    parts.append(text((left + right) / 2, plot_bottom + 36, x_label, kind="faint", anchor="middle"))
    for index, each in enumerate(series):
        shift = (index - (len(series) - 1) / 2) * 6 if each.intervals else 0.0
        shape = index * 11  # another colour and another mark for each
        where = [(across(x) + shift, up(y)) for x, y in zip(each.x, each.y, strict=True)]
        for (x, _), (bottom, upper) in zip(where, each.intervals, strict=False):
            parts.append(line(x, up(bottom), x, up(upper), stroke=colour(shape)))
        joined = " ".join(f"{number(x)},{number(y)}" for x, y in where)
        parts.append(
            f'<polyline points="{joined}" fill="none" stroke="{colour(shape)}" stroke-width="1.6"/>'
        )
        dots = [mark(shape, x, y, 3.6 if len(where) < 20 else 2.0) for x, y in where]
        parts.append(f'<g fill="{colour(shape)}">{"".join(dots)}</g>')
        if len(series) > 1:
            y = plot_bottom + 60 + 19 * index
            parts.append(f'<g fill="{colour(shape)}">{mark(shape, left + 6, y - 4, 4.5)}</g>')
            parts.append(text(left + 18, y, each.name))
    height = plot_bottom + 48 + (19 * len(series) + 8 if len(series) > 1 else 0)
    values = "; ".join(
        f"{each.name}: " + ", ".join(f"{y:.0%}" if percent else f"{y:.3g}" for y in _few(each.y))
        for each in series
    )
    return SvgFigure(width, height, title, f"{y_label} over {x_label}. {values}.", "".join(parts))


def _few(values: Sequence[float]) -> Sequence[float]:
    """Return the values if they are few enough to read aloud, else the first and the last."""
    return values if len(values) <= 6 else (values[0], values[-1])
