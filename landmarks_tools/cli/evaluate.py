"""`landmarks evaluate`: how well a photo of a landmark finds the others of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmarks.errors import UnavailableError
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import (
    JsonOption,
    ModelsOption,
    comma_separated,
    console,
    print_json,
    print_table,
    progress,
)
from landmarks_tools.cli.weights import default_models

if TYPE_CHECKING:  # slow to import, and not needed by --help
    from landmarks.retrieval.labelled_photos import GalleryAndQueries
    from landmarks.retrieval.metrics import Estimate, RetrievalResult

_MOST_CONFUSIONS = 10
_DIGITS = 6  # more are not significant, and would differ between machines


@requires_extra("encoder,evaluation")
def evaluate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="A manifest (CSV with the columns path, landmark and split), or a folder with a"
            " sub-folder for each landmark.",
        ),
    ],
    gallery: Annotated[
        str, typer.Option(metavar="SPLIT[,SPLIT]", help="Splits to search in.")
    ] = "",
    queries: Annotated[
        str, typer.Option(metavar="SPLIT[,SPLIT]", help="Splits to search with.")
    ] = "",
    models: ModelsOption = "",
    landmarks: Annotated[
        int, typer.Option(min=0, metavar="N", help="List this many landmarks, worst first.")
    ] = 10,
    failures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Draw each model's worst failures into DIR, as MODEL.png."
        ),
    ] = None,
    through: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Index and search with the running system at this address, not in this process.",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Measure how well a photo of a landmark finds the others of it: mAP, mAP@100, R@1, R@5.

    Every query is compared with the whole gallery, itself excluded; a photo of the same landmark
    is relevant. Intervals are 95% bootstrap intervals over the queries. Without splits, each photo
    is a query against all others.
    """
    from landmarks.retrieval.labelled_photos import read_gallery_and_queries

    photos = read_gallery_and_queries(source, comma_separated(gallery), comma_separated(queries))
    if failures is not None:
        failures.mkdir(parents=True, exist_ok=True)
    asked = comma_separated(models)
    results = _through(through, asked, photos) if through else _here(asked, photos)
    if as_json:
        print_json([_as_plain(model, result) for model, result in results.items()])
    else:
        _print(results, landmarks)
    if failures is not None:
        for model, result in results.items():
            _draw(model, result, photos, failures, quiet=as_json)


def _here(asked: Sequence[str], photos: GalleryAndQueries) -> dict[str, RetrievalResult]:
    """Evaluate the encoders themselves, in this process."""
    from encoder_service.models.registry import definition_of
    from encoder_service.settings import EncoderSettings
    from encoder_service.weights import ensure_weights
    from landmarks_tools.evaluation.evaluate_encoder import evaluate_model

    names = asked or default_models()
    settings = EncoderSettings.load()
    for name in names:  # fail on an unknown name before any work
        definition_of(name, settings.trained_models)
    results = {}
    with progress(aside=True) as show:
        for name in names:

            def fetched(done: int, total: int, name: str = name) -> None:
                show(f"{name}: bytes of weights", done, total)

            def embedded(done: int, total: int, name: str = name) -> None:
                show(f"{name}: photos", done, total)

            ensure_weights(name, settings, fetched)
            results[name] = evaluate_model(name, photos, settings, embedded)
    return results


def _through(
    target: str, asked: Sequence[str], photos: GalleryAndQueries
) -> dict[str, RetrievalResult]:
    """Evaluate the running system."""
    from landmarks_tools.evaluation.evaluate_service import evaluate_through

    results = {}
    with connect(target) as client, progress(aside=True) as show:
        names = asked or sorted({model.name for model in client.models() if model.ready})
        if not names:
            raise UnavailableError(f"no model is ready at {target}; is an encoder running?")
        for name in names:

            def report(what: str, done: int, total: int | None, name: str = name) -> None:
                show(f"{name}: {what}", done, total)

            results[name] = evaluate_through(client, name, photos, report)
    return results


def _as_plain(model: str, result: RetrievalResult) -> dict[str, object]:
    figures = {name: asdict(each) for name, each in result.figures.items()}
    return {
        "model": model,
        **rounded(figures),
        "queries": result.queries,
        "gallery": result.gallery,
    }


def _print(results: dict[str, RetrievalResult], most_landmarks: int) -> None:
    rows = [
        (model, *map(_with_interval, result.figures.values())) for model, result in results.items()
    ]
    print_table(("model", ">mAP", ">mAP@100", ">R@1", ">R@5"), rows)
    result = next(iter(results.values()))  # the photos are the same for every model
    console.print(
        f"{result.queries} queries, {result.gallery} photos in the gallery; {result.left_out}"
        " queries left out, as the gallery has no other photo of their landmark"
    )
    for model, result in results.items():
        _print_landmarks(model, result, most_landmarks)
        _print_confusions(model, result)


def rounded(figures: Mapping[str, object]) -> dict[str, object]:
    """Return figures rounded as they are printed in JSON, at any depth."""
    return {
        name: rounded(each)
        if isinstance(each, Mapping)
        else round(each, _DIGITS)
        if isinstance(each, float)
        else each
        for name, each in figures.items()
    }


def _with_interval(each: Estimate) -> str:
    return f"{each.value:.3f} [{each.low:.3f}, {each.high:.3f}]"


def _print_landmarks(model: str, result: RetrievalResult, most: int) -> None:
    worst = sorted(
        result.landmarks.items(), key=lambda item: (item[1].mean_average_precision, item[0])
    )[:most]
    if not worst:
        return
    console.print(f"\n{model}: {len(worst)} of {len(result.landmarks)} landmarks, worst first")
    rows = [
        (f"{each.mean_average_precision:.3f}", f"{each.recall_at_1:.3f}", str(each.queries), name)
        for name, each in worst
    ]
    print_table((">mAP", ">R@1", ">queries", "landmark"), rows)


def _print_confusions(model: str, result: RetrievalResult) -> None:
    frequent = list(result.confusions.items())[:_MOST_CONFUSIONS]
    if not frequent:
        console.print(f"\n{model}: every first hit is right")
        return
    console.print(f"\n{model}: most frequent confusions")
    rows = [(str(count), truth, found) for (truth, found), count in frequent]
    print_table((">queries", "landmark", "first hit"), rows)


def _draw(
    model: str, result: RetrievalResult, photos: GalleryAndQueries, folder: Path, *, quiet: bool
) -> None:
    from landmarks_tools.evaluation.failure_sheets import failures_sheet

    path = folder / f"{model}.png"
    sheet = failures_sheet(model, result, photos.gallery, photos.queries)
    if sheet is None:
        path.unlink(missing_ok=True)  # from an earlier evaluation
        return
    sheet.save(path)
    if not quiet:
        console.print(f"\nfailures: {path}", soft_wrap=True)
