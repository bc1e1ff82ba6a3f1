from xml.etree import ElementTree

import numpy as np
import pytest

from landmarks.retrieval.clusters import Clusters
from landmarks_tools.evaluation.study.figures import Series, chart, legend_figure, map_figure
from landmarks_tools.evaluation.study.svg import MARKS, colour, mark

SVG = "{http://www.w3.org/2000/svg}"


def drawn(figure):
    return ElementTree.fromstring(figure.file)


def a_map(names=("Atomium", "Big_Ben"), titles=()):
    points = np.concatenate([np.full((6, 2), 0.2), np.full((6, 2), 0.8), [[0.5, 0.5]]])
    points[:12] += np.random.default_rng(0).normal(0, 0.01, (12, 2))
    labels = np.array([0] * 6 + [1] * 6 + [0])
    owners = np.array([0] * 6 + [1] * 6 + [-1])
    clusters = Clusters(owners, {0: np.arange(6), 1: np.arange(6, 12)}, (3,))
    return map_figure("toy", points, labels, names, clusters, titles)


def test_a_map_has_a_mark_for_each_photo_and_a_ring_around_each_in_no_cluster():
    rings = [each for each in drawn(a_map()).iter(f"{SVG}circle") if each.get("class") == "ring"]

    assert len(rings) == 1
    assert len(list(drawn(a_map()).iter(f"{SVG}circle"))) == 13 + 1
    assert "13 photos of 2 landmarks, 1 of them in no cluster" in a_map().alt


def test_a_map_names_compact_landmarks_and_no_name_lies_over_another():
    names = [each.text for each in drawn(a_map()).iter(f"{SVG}text")]
    assert sorted(names) == ["Atomium", "Big Ben"]

    points = np.tile([[0.5, 0.5]], (400, 1)) + np.random.default_rng(0).normal(0, 0.03, (400, 2))
    labels = np.repeat(np.arange(40), 10)
    crowd = map_figure(
        "toy", points, labels, ["A_long_name_of_a_landmark"] * 40,
        Clusters(labels, {i: np.flatnonzero(labels == i) for i in range(40)}, (5,)),
    )  # fmt: skip
    assert len(list(drawn(crowd).iter(f"{SVG}text"))) < 10


def test_names_with_markup_stay_text_in_a_figure():
    names = ("<b>&\"'", "B")

    figure = a_map(names, ["<script>"] * 13)

    assert any(each.text == "<b>&\"'" for each in drawn(figure).iter(f"{SVG}text"))
    assert "<script" not in figure.inline
    assert "<b>" not in legend_figure(names).file


def test_marks_differ_in_colour_or_shape_until_they_repeat():
    looks = [(colour(i), mark(i, 0, 0, 5)) for i in range(MARKS)]

    assert len(set(looks)) == MARKS >= 50
    assert (colour(MARKS), mark(MARKS, 0, 0, 5)) == looks[0]
    assert "Marks repeat" in legend_figure(["x"] * (MARKS + 1)).file


@pytest.mark.parametrize("series", [1, 5])
def test_a_chart_keeps_its_lines_inside_and_describes_its_values(series: int):
    lines = [
        Series(f"model {i}", [0, 1, 2], [0.0, 0.5, 1.0], [(0, 0.1), (0.4, 0.6), (0.9, 1)])
        for i in range(series)
    ]
    figure = chart(
        "Title", lines, x_label="x", y_label="y", x_ticks={0: "a", 1: "b", 2: "c"},
        y_range=(0, 1), percent=True,
    )  # fmt: skip

    for each in drawn(figure).iter(f"{SVG}polyline"):
        places = [tuple(map(float, place.split(","))) for place in each.get("points").split()]
        assert all(0 < x < figure.width and 0 < y < figure.height for x, y in places)
    assert "model 0: 0%, 50%, 100%" in figure.alt


def test_a_flat_curve_of_one_epoch_can_be_drawn():
    figure = chart(
        "t", [Series("loss", [1.0], [0.0])], x_label="x", y_label="y", x_ticks={1.0: "1"},
        y_range=(0.0, 0.0),
    )  # fmt: skip

    assert drawn(figure) is not None
    assert "nan" not in figure.file
