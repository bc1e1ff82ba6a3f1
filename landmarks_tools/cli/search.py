"""`landmarks search`: the photos of a gallery that are most similar to a photo."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.client import DEFAULT_TARGET, Box, Search
from landmarks.errors import InvalidInputError
from landmarks.visible_text import visible
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ModelsOption,
    ServerOption,
    comma_separated,
    console,
    print_json,
    print_table,
)
from landmarks_tools.cli.where import (
    AfterOption,
    AnyOption,
    BeforeOption,
    InsideOption,
    NearOption,
    UnlabelledOption,
    WhereOption,
    filter_of,
)


class Fusion(StrEnum):
    """How rankings are combined."""

    RECIPROCAL_RANK = "reciprocal_rank"
    CALIBRATED_SCORE = "calibrated_score"


def search(
    photo: Annotated[
        Path | None,
        typer.Argument(
            help="The photo to search with; omit it with --like or --point.", show_default=""
        ),
    ] = None,
    gallery: GalleryOption = DEFAULT_GALLERY,
    models: ModelsOption = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Hits per ranking.")] = 10,
    offset: Annotated[int, typer.Option(help="Hits to skip.")] = 0,
    where: WhereOption = None,
    after: AfterOption = "",
    before: BeforeOption = "",
    near: NearOption = "",
    inside: InsideOption = "",
    unlabelled: UnlabelledOption = False,
    any_of: AnyOption = False,
    box: Annotated[
        str,
        typer.Option(
            metavar="L,T,R,B",
            help="Search with this part of PHOTO: left, top, right and bottom as fractions of its"
            " width and height, such as 0.2,0,0.8,0.5.",
        ),
    ] = "",
    point: Annotated[
        str, typer.Option(metavar="ID", help="Search with this photo of the gallery.")
    ] = "",
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHOTO|ID",
            help="Search with the mean of these and PHOTO, if given. Repeatable.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(metavar="PHOTO|ID", help="Rank photos like these lower. Repeatable."),
    ] = None,
    expand: Annotated[
        int,
        typer.Option(
            min=0,
            max=50,
            metavar="N",
            help="Query expansion: search again with the first N hits averaged into the query.",
        ),
    ] = 0,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Show only one of several identical photos.")
    ] = False,
    fusion: Annotated[
        Fusion | None,
        typer.Option(
            help="How to fuse rankings; by default as the collections' calibration allows."
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=NUMBER", help="Weight of a model in the fused ranking. Repeatable."
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every photo, without the index.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Draw the photo and a row of hits per model to this PNG.", metavar="PNG"),
    ] = None,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Find the photos most similar to PHOTO: a ranking per model and a fused one."""
    if sheet is not None:
        _check_sheet(sheet, photo)
        with requires_extra("search", "--sheet"):
            from landmarks_tools.cli.contact_sheet import draw_search_sheet
    asked = Search(
        gallery=gallery,
        models=comma_separated(models),
        filter=filter_of(
            where or [],
            after=after,
            before=before,
            near=near,
            inside=inside,
            unlabelled=unlabelled,
            any_of=any_of,
        ),
        limit=limit,
        offset=offset,
        exact=exact,
        collapse_identical=collapse,
        expansion=expand or None,
        fusion=fusion.value if fusion else None,
        weights=_weights(weight or []),
    )
    if not (photo or point or like):
        raise typer.BadParameter("give a PHOTO, --point ID or --like PHOTO")
    if photo and point:
        raise typer.BadParameter("PHOTO and --point are two queries; combine them with --like")
    if box and (photo is None or like or unlike):
        raise typer.BadParameter("--box marks a part of PHOTO, and works with PHOTO alone")
    data = _read(photo) if photo else None
    if like or unlike:
        if point:
            raise typer.BadParameter("--point is a query of its own; pass the id with --like")
        first = [data] if data is not None else []
        asked["positive"] = [*first, *map(_example, like or [])]
        asked["negative"] = list(map(_example, unlike or []))
    elif point:
        asked["point_id"] = point
    else:
        asked["photo"] = data
        asked["box"] = _box(box)
    with connect(server) as client:
        answer = client.search(**asked)
    if as_json:
        print_json(answer)
    else:
        print_answer(answer)
    if sheet is not None and photo is not None and data is not None:
        draw_search_sheet(data, photo.name, answer).save(sheet)
        if not as_json:
            console.print(f"\nsheet: {sheet}")


def print_answer(answer: pb.SearchResponse) -> None:
    """Print the verdict, a table of hits per model, and the fused ranking."""
    console.print(_verdict_line(answer.verdict))
    for ranking in answer.rankings:
        rows = [
            (str(hit.rank), f"{hit.score:.3f}", hit.point.landmark or "–", _path(hit.point))
            for hit in ranking.hits
        ]
        seconds = (
            ranking.timings.encode.ToNanoseconds() / 1e6,
            ranking.timings.query.ToNanoseconds() / 1e6,
        )
        console.print(f"\n{ranking.model}  (encode {seconds[0]:.0f} ms, query {seconds[1]:.1f} ms)")
        print_table((">rank", ">score", "landmark", "photo"), rows)
    if len(answer.rankings) > 1:
        models = [ranking.model for ranking in answer.rankings]
        fused = [
            (
                str(hit.rank),
                f"{hit.score:.4f}",
                hit.point.landmark or "–",
                *_ranks(hit, models),
                _path(hit.point),
            )
            for hit in answer.fused
        ]
        columns = (">rank", ">score", "landmark", *(f">in {model}" for model in models), "photo")
        console.print("\nfused")
        print_table(columns, fused)
    for failure in answer.failures:
        console.print(f"\n{failure.model} did not answer: {failure.status.message}")


def _verdict_line(verdict: pb.Verdict) -> str:
    sure = f"{verdict.confidence:.0%} sure"
    landmark = visible(verdict.landmark)
    match verdict.outcome:
        case pb.Verdict.OUTCOME_KNOWN:
            return f"This is {landmark} ({sure})."
        case pb.Verdict.OUTCOME_UNKNOWN:
            return (
                f"Probably none of the gallery's landmarks; the likeliest is {landmark} ({sure})."
            )
        case pb.Verdict.OUTCOME_UNCALIBRATED:
            return (
                f"Most of the nearest photos show {landmark} ({verdict.vote_share:.0%} of"
                " the votes). `landmarks calibrate` measures how reliable that is."
            )
        case _:
            return "No verdict: none of the photos found has a label."


def _path(point: pb.Point) -> str:
    """Return the photo's path below its source, which is short and survives a moved source."""
    return point.payload.fields["path"].string_value or point.uri


def _ranks(hit: pb.FusedHit, models: list[str]) -> list[str]:
    found = {standing.model: str(standing.rank) for standing in hit.standings}
    return [found.get(model, "–") for model in models]


def _weights(given: list[str]) -> dict[str, float]:
    weights = {}
    for one in given:
        model, equals, number = one.partition("=")
        if not equals:
            raise InvalidInputError(f"--weight {one!r} is not MODEL=NUMBER, as in vgg16=2")
        try:
            weights[model.strip()] = float(number)
        except ValueError:
            raise InvalidInputError(f"--weight {one!r}: {number!r} is not a number") from None
    return weights


def _box(text: str) -> Box | None:
    if not text:
        return None
    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError:
        raise InvalidInputError(
            f"--box {text!r} is not four numbers, as in 0.2,0,0.8,0.5", field="box"
        ) from None
    return Box(left, top, right, bottom)


def _example(given: str) -> bytes | str:
    """Return a point's id unchanged, and anything else as the content of that file."""
    try:
        return str(UUID(given))
    except ValueError:
        return _read(Path(given))


def _check_sheet(sheet: Path, photo: Path | None) -> None:
    """Refuse a sheet that could not be written, before searching."""
    if photo is None:
        raise InvalidInputError("--sheet draws PHOTO beside its hits; give a PHOTO")
    if sheet.suffix.lower() != ".png":
        raise InvalidInputError(f"--sheet {sheet}: the sheet is written as PNG; name it *.png")
    if not sheet.parent.is_dir():
        raise InvalidInputError(f"--sheet {sheet}: there is no folder {sheet.parent}")


def _read(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {photo}: {error.strerror}", field="photo") from error
