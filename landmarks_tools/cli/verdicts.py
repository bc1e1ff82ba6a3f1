"""`landmarks verdicts`: how reliable verdicts on the landmark in a photo are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmarks_tools.cli.evaluate import rounded
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
    from landmarks.retrieval.labelled_photos import LabelledPhoto
    from landmarks.retrieval.metrics import FloatMatrix
    from landmarks_tools.evaluation.verdicts import VerdictFigures


@requires_extra("encoder,evaluation")
def verdicts(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST", help="A manifest: CSV with the columns path, landmark and split."
        ),
    ],
    gallery: Annotated[str, typer.Option(metavar="SPLIT[,SPLIT]", help="Photos of the gallery.")],
    known: Annotated[
        str, typer.Option(metavar="SPLIT[,SPLIT]", help="Photos of landmarks of the gallery.")
    ],
    unknown: Annotated[
        str, typer.Option(metavar="SPLIT[,SPLIT]", help="Photos of other landmarks.")
    ],
    halved: Annotated[
        str,
        typer.Option(
            metavar="SPLIT",
            help="Every second landmark of this split joins the gallery; photos of the others serve"
            " as unknown photos in the calibration.",
        ),
    ] = "",
    models: ModelsOption = "",
    unknowns_answered: Annotated[
        float,
        typer.Option(
            min=0.001, max=0.5, help="Accepted share of unknown photos that are given a landmark."
        ),
    ] = 0.05,
    as_json: JsonOption = False,
) -> None:
    """Calibrate a gallery with its own photos, and measure its verdicts on others.

    For each model alone and for all together: how many photos of known landmarks are given a
    landmark, how many of these correctly, and how many photos of unknown landmarks are given one.
    """
    from landmarks.retrieval.labelled_photos import read_photos
    from landmarks_tools.evaluation.verdicts import PhotoVectors, verdict_figures

    names = list(comma_separated(models) or default_models())
    photos = {
        part: read_photos(source, comma_separated(splits))
        for part, splits in (("gallery", gallery), ("known", known), ("unknown", unknown))
    }
    if halved:
        extra = read_photos(source, [halved])
        first = set(sorted({photo.landmark for photo in extra})[::2])
        photos["gallery"] = [*photos["gallery"], *(p for p in extra if p.landmark in first)]
        photos["held back"] = [photo for photo in extra if photo.landmark not in first]
    rows = {name: _embedded(name, photos) for name in names}
    parts = {
        part: PhotoVectors(
            {name: rows[name][part] for name in names}, [photo.landmark for photo in some]
        )
        for part, some in photos.items()
    }
    _, figures = verdict_figures(
        parts["gallery"],
        parts["known"],
        parts["unknown"],
        parts.get("held back"),
        unknowns_answered,
    )
    if as_json:
        print_json([rounded(asdict(each)) for each in figures])
    else:
        _print(figures, {part: len(some) for part, some in photos.items()})


def _embedded(name: str, photos: dict[str, list[LabelledPhoto]]) -> dict[str, FloatMatrix]:
    from encoder_service.settings import EncoderSettings
    from encoder_service.weights import ensure_weights
    from landmarks_tools.evaluation.embeddings import embeddings

    settings = EncoderSettings.load()
    with progress(aside=True) as show:
        ensure_weights(name, settings, lambda *done: show(f"{name}: bytes of weights", *done))
        return {
            part: embeddings(
                name, some, settings, lambda *done, part=part: show(f"{name}: {part}", *done)
            )
            for part, some in photos.items()
        }


def _print(figures: list[VerdictFigures], counts: dict[str, int]) -> None:
    lines = [
        (
            each.models[0] if len(each.models) == 1 else "all together",
            *(
                f"{one.value:.3f}" if one else "–"
                for one in (
                    each.answered,
                    each.accuracy,
                    each.forced,
                    each.unknown_answered,
                    each.ranking,
                )
            ),
        )
        for each in figures
    ]
    columns = ("models", ">answered", ">right of these", ">right of all")
    print_table((*columns, ">unknown answered", ">mAP"), lines)
    console.print(", ".join(f"{count} {part}" for part, count in counts.items()))
