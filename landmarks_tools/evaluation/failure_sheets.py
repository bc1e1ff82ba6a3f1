"""Draws a model's worst queries, each with its first hits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from landmarks.retrieval.labelled_photos import LabelledPhoto
from landmarks.retrieval.metrics import RetrievalResult
from landmarks_tools.evaluation.contact_sheets import ResultRow, Tile, contact_sheet

_MOST_QUERIES = 20
_HITS = 7


def failures_sheet(
    model: str,
    result: RetrievalResult,
    gallery: Sequence[LabelledPhoto],
    queries: Sequence[LabelledPhoto],
) -> Image.Image | None:
    """Draw the queries whose first hit is wrong, lowest average precision first.

    A row is the query, and its first hits marked right or wrong. None if no first hit is wrong.
    """
    order = np.argsort(result.average_precisions, kind="stable")
    worst = [int(line) for line in order if result.first_right[line] != 1][:_MOST_QUERIES]
    if not worst:
        return None
    rows = [_row(result, line, gallery, queries[result.scored[line]]) for line in worst]
    wrong = int(np.count_nonzero(result.first_right != 1))
    title = f"{model}: {wrong} of {result.queries} first hits are wrong; the worst {len(rows)}"
    return contact_sheet(rows, title=title)


def _row(
    result: RetrievalResult, line: int, gallery: Sequence[LabelledPhoto], query: LabelledPhoto
) -> ResultRow:
    rank = int(result.first_right[line])
    found = f"first right at {rank}" if rank else "none right"
    title = f"{_words(query.landmark)}: AP {result.average_precisions[line]:.3f}, {found}"
    hits = [gallery[place] for place in result.nearest[line, :_HITS] if place >= 0]
    tiles = [Tile(query.path.read_bytes(), f"query\n{query.path.name}")]
    tiles += [
        Tile(
            hit.path.read_bytes(),
            f"{number}. {_words(hit.landmark)}\n{hit.path.name}",
            hit.landmark == query.landmark,
        )
        for number, hit in enumerate(hits, start=1)
    ]
    return ResultRow(title, tuple(tiles))


def _words(landmark: str) -> str:
    return landmark.replace("_", " ")
