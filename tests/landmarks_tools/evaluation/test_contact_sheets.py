import io

import numpy as np
import pytest
from PIL import Image

from landmarks_tools.evaluation.contact_sheets import ResultRow, Tile, contact_sheet, search_sheet


def jpeg(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def row(count: int, title: str = "model") -> ResultRow:
    return ResultRow(
        title, tuple(Tile(jpeg(), f"{i + 1} · 0.9\nAtomium", None) for i in range(count))
    )


def test_a_sheet_is_as_wide_as_its_longest_row_and_grows_with_each_row() -> None:
    one, two = contact_sheet([row(3)], tile=80), contact_sheet([row(3), row(2)], tile=80)

    assert one.width == two.width > 3 * 80
    assert two.height > one.height + 80
    assert contact_sheet([row(4)], tile=80).width - one.width == pytest.approx(80, abs=20)


def test_long_rows_wrap_at_the_columns() -> None:
    wrapped = contact_sheet([row(5)], tile=80, columns=2)

    assert wrapped.width < contact_sheet([row(3)], tile=80).width
    assert wrapped.height > 3 * 80


def test_a_missing_or_unreadable_image_becomes_a_grey_tile() -> None:
    sheets = [
        np.asarray(contact_sheet([ResultRow("", (Tile(image, "gone"),))], tile=80))
        for image in (None, b"not an image", jpeg()[:100])
    ]

    assert np.array_equal(sheets[0], sheets[1])
    assert np.array_equal(sheets[0], sheets[2])
    corner = sheets[0][26, 26].astype(int)
    assert corner.max() - corner.min() < 6
    assert 180 < corner.mean() < 240


def test_right_and_wrong_tiles_are_framed_in_green_and_red() -> None:
    grey = jpeg((128, 128, 128))
    sheets = {
        correct: np.asarray(contact_sheet([ResultRow("", (Tile(grey, "", correct),))], tile=80))
        for correct in (True, False, None)
    }
    edges = {correct: sheet[25, 25].astype(int) for correct, sheet in sheets.items()}

    assert edges[True][1] > edges[True][0] + 50
    assert edges[False][0] > edges[False][1] + 50
    assert np.ptp(edges[None]) < 6


def test_a_search_sheet_shows_the_query_left_of_the_rankings() -> None:
    rankings = [row(4, "vgg16"), row(4, "fused")]

    sheet = search_sheet(jpeg((20, 60, 220)), "query.jpg", rankings)

    results = contact_sheet(rankings)
    assert sheet.width > results.width + 160
    assert sheet.height >= results.height
    pixels = np.asarray(sheet).astype(int)
    blue = (pixels[..., 2] > pixels[..., 0] + 80).any(axis=0)
    assert blue[:200].any()
    assert not blue[220:].any()


def test_a_sheet_without_rows_or_tiles_can_be_drawn() -> None:
    assert contact_sheet([]).width > 0
    assert search_sheet(jpeg(), "nothing found", [ResultRow("vgg16", ())]).height > 160
