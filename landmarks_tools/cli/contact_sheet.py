"""Draws the answer to a search: the query, and a row of nearest photos for each model."""

from __future__ import annotations

from collections.abc import Iterable

import fsspec
from PIL import Image

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks_tools.evaluation.contact_sheets import ResultRow, Tile, search_sheet

_MOST_TILES = 10


def draw_search_sheet(
    query: bytes, caption: str, answer: pb.SearchResponse, landmark: str = ""
) -> Image.Image:
    """Return the sheet of an answer.

    Photos are read from their URIs; a photo that cannot be read becomes a labelled grey tile.
    With `landmark`, the correct answer, hits are marked right or wrong.
    """
    rows = [
        ResultRow(
            ranking.model,
            tuple(
                _tile(hit.point, f"{hit.rank}. {hit.score:.3f}", landmark)
                for hit in ranking.hits[:_MOST_TILES]
            ),
        )
        for ranking in answer.rankings
    ]
    if len(answer.rankings) > 1:
        rows.append(ResultRow("fused", tuple(_fused_tiles(answer.fused, landmark))))
    return search_sheet(query, caption, rows)


def _fused_tiles(hits: Iterable[pb.FusedHit], landmark: str) -> Iterable[Tile]:
    for hit in list(hits)[:_MOST_TILES]:
        yield _tile(hit.point, f"{hit.rank}. {hit.score:.4f}", landmark)


def _tile(point: pb.Point, standing: str, landmark: str) -> Tile:
    correct = point.landmark == landmark if landmark else None
    return Tile(_read(point.uri), f"{standing} {point.landmark.replace('_', ' ')}", correct)


def _read(uri: str) -> bytes | None:
    try:
        with fsspec.open(uri, "rb") as file:
            data: bytes = file.read()
            return data
    except (OSError, ValueError):
        return None
