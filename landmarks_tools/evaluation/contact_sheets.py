"""Contact sheets: rows of small pictures with captions, drawn with Pillow alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

from landmarks.errors import InvalidPhotoError
from landmarks.photos.decode import decode
from landmarks.photos.limits import ANY_SIZE

_TILE = 160
_GAP = 12
_MARGIN = 24
_TITLE = 17
_CAPTION = 13
_LINE = 17

_PAPER = (250, 250, 248)
_INK = (34, 36, 40)
_FAINT = (110, 114, 120)
_BLANK = (222, 223, 225)
_RIGHT = (32, 140, 72)
_WRONG = (200, 52, 44)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """A picture (encoded bytes; None draws a grey tile), its caption, and whether it is right.

    A caption may have several lines. `correct` frames the picture in green or red; None does not.
    """

    image: bytes | None
    caption: str
    correct: bool | None = None


@dataclass(frozen=True)
class ResultRow:
    """A row of a sheet: one model's nearest photos, best first."""

    title: str
    tiles: tuple[Tile, ...]


def contact_sheet(
    rows: Sequence[ResultRow], *, title: str = "", tile: int = _TILE, columns: int | None = None
) -> Image.Image:
    """Draw each row's title and beneath it its tiles, `tile` pixels square.

    Rows longer than `columns` are wrapped; by default no row is.
    """
    columns = columns or max((len(row.tiles) for row in rows), default=1) or 1
    wrapped = [
        (row.title if start == 0 else "", row.tiles[start : start + columns])
        for row in rows
        for start in range(0, max(len(row.tiles), 1), columns)
    ]
    heading = _TITLE + 2 * _GAP if title else 0
    heights = [_row_height(name, tiles, tile) for name, tiles in wrapped]
    width = 2 * _MARGIN + columns * tile + (columns - 1) * _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + heading + sum(heights)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((_MARGIN, _MARGIN), _cut(title, width - 2 * _MARGIN, _TITLE + 4), _INK,
                  _font(_TITLE + 4))  # fmt: skip
    top = _MARGIN + heading
    for (name, tiles), height in zip(wrapped, heights, strict=True):
        _draw_row(sheet, draw, (_MARGIN, top), name, tiles, tile)
        top += height
    return sheet


def search_sheet(
    query: bytes, query_caption: str, rankings: Sequence[ResultRow], *, tile: int = _TILE
) -> Image.Image:
    """Draw a search: the query at the left, and a row of nearest photos for each ranking."""
    results = contact_sheet(rankings, tile=tile)
    left = _MARGIN + tile + _MARGIN
    caption_lines = len(query_caption.splitlines())
    height = max(results.height, 2 * _MARGIN + _TITLE + _GAP + tile + _LINE * (caption_lines + 1))
    sheet = Image.new("RGB", (left + results.width, height), _PAPER)
    sheet.paste(results, (left, 0))
    draw = ImageDraw.Draw(sheet)
    _draw_row(sheet, draw, (_MARGIN, _MARGIN), "Query", (Tile(query, query_caption),), tile)
    draw.line([(left, _MARGIN), (left, height - _MARGIN)], _BLANK, 1)
    return sheet


def _row_height(name: str, tiles: Sequence[Tile], tile: int) -> int:
    lines = max((len(each.caption.splitlines()) for each in tiles), default=0)
    return (_TITLE + _GAP if name else 0) + tile + 6 + lines * _LINE + _GAP


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    name: str,
    tiles: Sequence[Tile],
    tile: int,
) -> None:
    left, top = corner
    if name:
        draw.text((left, top), name, _INK, _font(_TITLE))
        top += _TITLE + _GAP
    for each in tiles:
        _draw_tile(sheet, draw, (left, top), each, tile)
        left += tile + _GAP


def _draw_tile(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], each: Tile, tile: int
) -> None:
    left, top = corner
    picture = _picture(each.image, tile)
    frame = (left, top, left + tile - 1, top + tile - 1)
    if picture is None:
        draw.rectangle(frame, _BLANK)
        draw.text((left + tile // 2, top + tile // 2), "no image", _FAINT, _font(_CAPTION),
                  anchor="mm")  # fmt: skip
    else:
        sheet.paste(picture, (left, top))
    if each.correct is not None:
        draw.rectangle(frame, outline=_RIGHT if each.correct else _WRONG, width=4)
    for number, line in enumerate(each.caption.splitlines()):
        colour = _INK if number == 0 else _FAINT
        y = top + tile + 6 + number * _LINE
        draw.text((left, y), _cut(line, tile, _CAPTION), colour, _font(_CAPTION))


def _picture(image: bytes | None, tile: int) -> Image.Image | None:
    """Return the photo upright, cropped to a square; None where it is absent or unreadable."""
    if image is None:
        return None
    try:
        upright = decode(image, ANY_SIZE, tile).image
    except InvalidPhotoError:
        return None
    return ImageOps.fit(upright, (tile, tile), Image.Resampling.LANCZOS)


def _font(size: int) -> _Font:
    return ImageFont.load_default(size=size)


def _cut(text: str, width: int, size: int) -> str:
    """Shorten a text to `width` pixels, with an ellipsis where it was cut."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
