"""`landmarks search`: the photos of a gallery that are most like this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.cli.output import (
    DEFAULT_GALLERY,
    GalleryOption,
    JsonOption,
    ModelsOption,
    ServerOption,
    comma_separated,
    console,
    print_json,
    table,
)
from landmarks.client import DEFAULT_TARGET, Landmarks
from landmarks.errors import InvalidInputError


def search(
    photo: Annotated[Path, typer.Argument(help="The photo to look for.")],
    gallery: GalleryOption = DEFAULT_GALLERY,
    models: ModelsOption = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Hits per ranking.")] = 10,
    offset: Annotated[int, typer.Option(help="Hits to skip.")] = 0,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Only photos whose field has this value; != for all but it. Repeatable: the same"
            " field twice means either value, different fields all of them.",
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every photo, without the index.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Draw the photo and a row of hits per model into this PNG.", metavar="PNG"
        ),
    ] = None,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Find the photos most like PHOTO: a ranking per model, and one fused."""
    if sheet is not None:
        _check_sheet(sheet)
    data = _read(photo)
    with Landmarks(server) as client:
        answer = client.search(
            photo=data,
            gallery=gallery,
            models=comma_separated(models),
            filter=parse_where(where or []),
            limit=limit,
            offset=offset,
            exact=exact,
        )
    if as_json:
        print_json(answer)
    else:
        print_answer(answer)
    if sheet is not None:
        from evaluation.search_sheet import draw_search_sheet  # needs Pillow; searching does not

        draw_search_sheet(data, photo.name, answer).save(sheet)
        if not as_json:
            console.print(f"\nsheet: {sheet}")


def parse_where(clauses: list[str]) -> pb.Filter:
    """Return the filter that `field=value` and `field!=value` clauses mean."""
    wanted: dict[str, list[str]] = {}
    unwanted: dict[str, list[str]] = {}
    for clause in clauses:
        field, equals, value = clause.partition("=")
        into = unwanted if field.endswith("!") else wanted
        field = field.removesuffix("!").strip()
        if not equals or not field:
            raise InvalidInputError(
                f"--where {clause!r} is not FIELD=VALUE, as in landmark=Atomium", field="filter"
            )
        into.setdefault(field, []).append(value.strip())
    return pb.Filter(
        must=[_condition(*item) for item in wanted.items()],
        must_not=[_condition(*item) for item in unwanted.items()],
    )


def print_answer(answer: pb.SearchResponse) -> None:
    """Print the verdict, a table of hits per model, and the fused one."""
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
        console.print(table((">rank", ">score", "landmark", "photo"), rows))
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
        console.print(table(columns, fused))
    for failure in answer.failures:
        console.print(f"\n{failure.model} did not answer: {failure.status.message}")


def _verdict_line(verdict: pb.Verdict) -> str:
    if verdict.outcome == pb.Verdict.OUTCOME_NO_HITS or not verdict.landmark:
        return "No labelled photo was found to tell the landmark by."
    return (
        f"Most of the nearest photos show {verdict.landmark}"
        f" ({verdict.vote_share:.0%} of the votes; not calibrated)."
    )


def _path(point: pb.Point) -> str:
    """Return the photo's path below its source: short, and it survives a moved source."""
    return point.payload.fields["path"].string_value or point.uri


def _ranks(hit: pb.FusedHit, models: list[str]) -> list[str]:
    found = {standing.model: str(standing.rank) for standing in hit.standings}
    return [found.get(model, "–") for model in models]


def _condition(field: str, values: list[str]) -> pb.Condition:
    texts = [pb.FieldValue(text=value) for value in values]
    if len(texts) == 1:
        return pb.Condition(field=field, equals=texts[0])
    return pb.Condition(field=field, any_of=pb.FieldValues(values=texts))


def _check_sheet(sheet: Path) -> None:
    """Refuse, before searching, a sheet that could not be written."""
    if sheet.suffix.lower() != ".png":
        raise InvalidInputError(f"--sheet {sheet}: a sheet is a PNG; name it *.png")
    if not sheet.parent.is_dir():
        raise InvalidInputError(f"--sheet {sheet}: there is no folder {sheet.parent}")


def _read(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {photo}: {error.strerror}", field="photo") from error
