"""Writes a study: `index.html`, which is self-contained, and `report.md` with figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from encoder_service.models.registry import MODULES
from landmarks.retrieval.labelled_photos import LabelledPhoto
from landmarks.retrieval.metrics import RetrievalResult
from landmarks.retrieval.projection import NEIGHBOURS
from landmarks_tools.evaluation.contact_sheets import ResultRow, Tile, search_sheet
from landmarks_tools.evaluation.study import narrative as words
from landmarks_tools.evaluation.study.factors import LOOK_ALIKE, Factor
from landmarks_tools.evaluation.study.figures import (
    Series,
    chart,
    legend_figure,
    legend_mark,
    map_figure,
    readable,
)
from landmarks_tools.evaluation.study.hypothesis import Quarter
from landmarks_tools.evaluation.study.study import Study
from landmarks_tools.evaluation.study.svg import MARKS, SvgFigure
from landmarks_tools.evaluation.study.template_filters import FILTERS
from landmarks_tools.evaluation.study.thumbnails import data_uri, jpeg, thumbnail

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_HITS = 6
_TILE = 112
_FIGURE_NAMES = ("legend.svg", "map-*.svg", "loss-*.svg", "score-*.svg", "factor-*.svg",
                 "nearest-*.jpg")  # fmt: skip
_TOP = 10


@dataclass(frozen=True)
class RenderedHit:
    """A photo in a row of nearest ones; `image` is a data URI, empty if photos are left out."""

    rank: int
    landmark: str
    right: bool
    image: str


@dataclass(frozen=True)
class RenderedQuery:
    """A query and its nearest photos by each model. `sheet` is their image file for Markdown."""

    landmark: str
    why: str
    image: str
    hits: Mapping[str, Sequence[RenderedHit]]
    sheet: str


@dataclass(frozen=True)
class ConfusedPair:
    """Two landmarks, and how often each model confuses them."""

    one: str
    other: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Over all models."""
        return sum(self.counts.values())


def write_study(study: Study, out: Path, *, photos: bool = True) -> Path:
    """Write the study into the folder `out` and return the path of its page.

    Without `photos` it contains no picture and no name of a photo. Files of an earlier study in the
    folder `figures` are removed.
    """
    figures = _figures(study, photos=photos)
    rows, sheets = _rows(study, photos=photos)
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _FIGURE_NAMES:
        for old in folder.glob(pattern):
            old.unlink()
    for name, figure in figures.items():
        (folder / f"{name}.svg").write_text(figure.file, encoding="utf-8")
    for name, sheet in sheets.items():
        (folder / name).write_bytes(sheet)
    context = {
        "study": study,
        "figures": figures,
        "rows": rows,
        "with_photos": photos,
        "marks": [(legend_mark(i), name) for i, name in enumerate(study.landmarks)],
        "marks_repeat": len(study.landmarks) > MARKS,
        "findings": words.findings(study),
        "verdict": words.verdict_on_the_guess(words.findings(study), study.missing),
        "conclusions": words.conclusions(study),
        "limits": words.limits(study),
        "chance": words.chance_purity(study),
        "hardest": _hardest(study),
        "mixed": _top({name: each.mixed for name, each in study.models.items()}),
        "confusions": _top({name: each.result.confusions for name, each in study.models.items()}),
        "sizes": next(iter(study.models.values())).clusters.sizes,
        "neighbours": NEIGHBOURS,
        "any_result": next(iter(study.models.values())).result,
        "vgg": any(name.startswith("vgg16") for name in study.models),
        "vgg_fc7": "vgg16_fc7" in MODULES,
    }
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    for template, name in (("report.html.j2", "index.html"), ("report.md.j2", "report.md")):
        text = environment.get_template(template).render(context)
        (out / name).write_text(text, encoding="utf-8")
    return out / "index.html"


def _figures(study: Study, *, photos: bool) -> dict[str, SvgFigure]:
    figures = {"legend": legend_figure(study.landmarks)}
    titles = [f"{readable(photo.landmark)}: {photo.name}" for photo in study.photos]
    for name, each in study.models.items():
        figures[f"map-{name}"] = map_figure(
            name,
            each.drawn.points,
            study.labels,
            study.landmarks,
            each.clusters,
            titles if photos else (),
        )
        figures |= _curves(study, name)
    for factor in study.factors:
        figures[f"factor-{factor.name}"] = _factor_figure(study, factor)
    return figures


def _curves(study: Study, model: str) -> dict[str, SvgFigure]:
    card = study.models[model].facts.card
    if card is None or not card.curve:
        return {}
    epochs = [float(point.epoch) for point in card.curve]
    ticks = {epoch: f"{epoch:.0f}" for epoch in (min(epochs), max(epochs))}
    losses = [point.loss for point in card.curve]
    curves = {
        f"loss-{model}": chart(
            f"Training loss of {model}",
            [Series("loss", epochs, losses)],
            x_label="epoch",
            y_label="training loss",
            x_ticks=ticks,
            y_range=(0.0, max(losses)),
        )
    }
    measured = [
        (float(point.epoch), point.mean_average_precision)
        for point in card.curve
        if point.mean_average_precision is not None
    ]
    if measured:
        x, y = zip(*measured, strict=True)
        curves[f"score-{model}"] = chart(
            f"Validation mAP of {model} during training",
            [Series("mAP", x, y)],
            x_label="epoch",
            y_label="mAP on the validation split",
            x_ticks=ticks,
            y_range=(0.0, 1.0),
        )
    return curves


def _factor_figure(study: Study, factor: Factor) -> SvgFigure:
    series = []
    most = 0
    for name, each in study.models.items():
        bins = each.tests[factor.name].bins
        most = max(most, len(bins))
        series.append(
            Series(
                name,
                [float(place) for place in range(len(bins))],
                [each_bin.share for each_bin in bins],
                [each_bin.interval for each_bin in bins],
            )
        )
    bins = next(iter(study.models.values())).tests[factor.name].bins
    same = factor.name != LOOK_ALIKE and all(
        [(b.low, b.high) for b in each.tests[factor.name].bins] == [(b.low, b.high) for b in bins]
        for each in study.models.values()
    )
    ticks = {
        float(place): _range(bins[place], factor) if same else f"{place + 1}."
        for place in range(most)
    }
    return chart(
        f"Photos in no cluster by {factor.name}",
        series,
        x_label=factor.axis if same else f"quarters, {factor.axis}",
        y_label="photos in no cluster",
        x_ticks=ticks or {0.0: ""},
        y_range=(0.0, 1.0),
        percent=True,
    )


def _range(quarter: Quarter, factor: Factor) -> str:
    scale, unit = (100, " %") if factor.is_share else (1, "")
    ends = [
        f"{scale * end:.0f}" if scale * end >= 10 else f"{scale * end:.1g}"
        for end in (quarter.low, quarter.high)
    ]
    return "–".join(dict.fromkeys(ends)) + unit


def _rows(study: Study, *, photos: bool) -> tuple[list[RenderedQuery], dict[str, bytes]]:
    rows: list[RenderedQuery] = []
    sheets: dict[str, bytes] = {}
    for number, shown in enumerate(study.shown, start=1):
        query = study.input.photos.queries[study.scored[shown.query]]
        found = {
            name: _hits(study, each.result, shown.query) for name, each in study.models.items()
        }
        hits = {
            name: [
                RenderedHit(
                    rank, hit.landmark, hit.landmark == query.landmark, _uri(hit.path, photos)
                )
                for rank, hit in enumerate(near, start=1)
            ]
            for name, near in found.items()
        }
        sheet = f"nearest-{number}.jpg" if photos else ""
        if photos:
            sheets[sheet] = _sheet(query, found)
        rows.append(RenderedQuery(query.landmark, shown.why, _uri(query.path, photos), hits, sheet))
    return rows, sheets


def _hits(study: Study, result: RetrievalResult, query: int) -> list[LabelledPhoto]:
    places = result.nearest[query][:_SHOWN_HITS]
    return [study.input.photos.gallery[place] for place in places if place >= 0]


def _sheet(query: LabelledPhoto, found: Mapping[str, Sequence[LabelledPhoto]]) -> bytes:
    rankings = [
        ResultRow(
            name,
            tuple(
                Tile(
                    thumbnail(hit.path, _TILE),
                    f"{rank}. {readable(hit.landmark)}",
                    hit.landmark == query.landmark,
                )
                for rank, hit in enumerate(near, start=1)
            ),
        )
        for name, near in found.items()
    ]
    caption = readable(query.landmark)
    return jpeg(search_sheet(thumbnail(query.path, _TILE), caption, rankings, tile=_TILE))


def _uri(path: Path, photos: bool) -> str:
    return data_uri(thumbnail(path, _TILE)) if photos else ""


def _hardest(study: Study) -> list[tuple[str, int, Mapping[str, float]]]:
    """Return the landmarks of the lowest mean average precision over all models, with each's."""
    scores = {
        landmark: (
            next(iter(study.models.values())).result.landmarks[landmark].queries,
            {
                name: each.result.landmarks[landmark].mean_average_precision
                for name, each in study.models.items()
            },
        )
        for landmark in sorted(set(study.query_landmarks))
    }
    order = sorted(scores, key=lambda landmark: np.mean(list(scores[landmark][1].values())))
    return [(landmark, *scores[landmark]) for landmark in order[:_TOP]]


def _top(counts: Mapping[str, Mapping[tuple[str, str], int]]) -> list[ConfusedPair]:
    """Return the pairs that are most frequent over all models."""
    totals: Counter[tuple[str, str]] = Counter()
    for each in counts.values():
        totals.update(each)
    order = sorted(totals, key=lambda pair: (-totals[pair], pair))[:_TOP]
    return [
        ConfusedPair(one, other, {name: each.get((one, other), 0) for name, each in counts.items()})
        for one, other in order
    ]
