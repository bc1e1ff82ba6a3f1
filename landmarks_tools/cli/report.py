"""`landmarks report`: the study of how photos cluster by landmark, on any photos."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from landmarks.errors import InvalidInputError
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import ModelsOption, comma_separated, console, progress

_SEED = 0


@requires_extra("encoder,evaluation")
def report(
    out: Annotated[Path, typer.Argument(help="The folder to write to; created if needed.")],
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="A manifest (CSV with path, landmark, split), or a folder with a sub-folder for"
            " each landmark; by default the sample gallery.",
        ),
    ] = None,
    gallery: Annotated[
        str, typer.Option(metavar="SPLIT[,SPLIT]", help="Splits to search in.")
    ] = "",
    queries: Annotated[
        str, typer.Option(metavar="SPLIT[,SPLIT]", help="Splits to search with.")
    ] = "",
    models: ModelsOption = "",
    photos: Annotated[
        bool,
        typer.Option("--photos/--no-photos", help="Include photos, or leave them all out."),
    ] = True,
    views: Annotated[
        int, typer.Option(min=4, help="Views of each landmark in the sample gallery.")
    ] = 12,
) -> None:
    """Study how photos cluster by landmark, and write index.html and report.md into OUT.

    It shows maps, nearest photos and retrieval figures of each model, and tests what keeps photos
    out of clusters. Without splits, each photo is a query against all others. If a manifest has
    the columns prominence, occluded, azimuth and elevation, as the sample gallery does, they are
    tested too. Needs no running services.
    """
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"{out} is not a folder", field="out")
    from encoder_service.settings import EncoderSettings
    from landmarks.retrieval.labelled_photos import read_gallery_and_queries
    from landmarks_tools.cli.weights import models_with_weights
    from landmarks_tools.evaluation.study.render import write_study
    from landmarks_tools.evaluation.study.study import StudyInput, make_study

    settings = EncoderSettings.load()
    splits = [comma_separated(gallery), comma_separated(queries)]
    if source is None:
        given = StudyInput(
            f"The sample gallery, {views} views of each landmark",
            read_gallery_and_queries(
                _sample(settings.cache_dir, views), splits[0] or ["gallery"], splits[1] or ["query"]
            ),
            drawn=True,
        )
    else:
        given = StudyInput(source.resolve().name, read_gallery_and_queries(source, *splits))
    names = models_with_weights(comma_separated(models), settings)
    with progress() as show:
        study = make_study(given, names, settings, seed=_SEED, progress=show)
    page = write_study(study, out, photos=photos)
    console.print(f"report: {page}", soft_wrap=True)


def _sample(cache_dir: Path, views: int) -> Path:
    from landmarks_tools.sample_gallery.gallery import MANIFEST, ensure_sample_gallery

    folder = (
        cache_dir / "sample" / f"{views}-views"
    )  # shared with the demo, so that it is drawn once
    with progress() as show:
        shown = partial(show, "sample views")
        return ensure_sample_gallery(folder, views=views, progress=shown) / MANIFEST
