"""`landmarks report`: the study of how photos cluster by landmark, on anybody's photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landmarks.cli.output import ModelsOption, ProgressLine, comma_separated, console, progress
from landmarks.errors import InvalidInputError

_SEED = 0


def report(
    out: Annotated[Path, typer.Argument(help="The folder to write into; made if need be.")],
    manifest: Annotated[
        Path | None,
        typer.Argument(help="A CSV with path, landmark and split; else the sample gallery."),
    ] = None,
    gallery: Annotated[
        str, typer.Option(help="Splits of the photos to search, comma-separated.", metavar="S,S")
    ] = "gallery",
    queries: Annotated[
        str, typer.Option(help="Splits of the photos to search with.", metavar="S,S")
    ] = "query",
    models: ModelsOption = "",
    photos: Annotated[
        bool,
        typer.Option("--photos/--no-photos", help="Show photos, or leave all of them out."),
    ] = True,
    views: Annotated[
        int, typer.Option(min=4, help="Views drawn of each landmark of the sample gallery.")
    ] = 12,
) -> None:
    """Study how photos cluster by landmark, and write index.html and report.md into OUT.

    Maps, nearest photos and retrieval figures of each model, and a test of what keeps photos out of
    clusters. A manifest may have the columns prominence, occluded, azimuth and elevation, which are
    then tested; the sample gallery has them. Needs no running services.
    """
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"{out} is not a folder", field="out")
    # Here, so that --help stays quick.
    from encoder_service.settings import EncoderSettings
    from evaluation.photos import read_photos
    from evaluation.study.page import write_study
    from evaluation.study.report import Input, make_study
    from landmarks.cli.setup import models_with_weights

    settings = EncoderSettings.load()
    splits = comma_separated(gallery), comma_separated(queries)
    source = manifest or _sample(settings.cache_dir, views)
    given = Input(
        name=manifest.name if manifest else f"The sample gallery, {views} views of each landmark",
        gallery=read_photos(source, splits[0]),
        queries=read_photos(source, splits[1]),
        gallery_splits=splits[0],
        query_splits=splits[1],
        drawn=manifest is None,
    )
    names = models_with_weights(comma_separated(models), settings)
    with progress() as add_line:
        lines: dict[str, ProgressLine] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in lines:
                lines[what] = add_line(what)
            lines[what].update(done, total)

        study = make_study(given, names, settings, seed=_SEED, progress=show)
    page = write_study(study, out, photos=photos)
    console.print(f"report: {page}", soft_wrap=True)


def _sample(cache_dir: Path, views: int) -> Path:
    from evaluation.sample.gallery import MANIFEST, ensure_sample_gallery

    with progress() as add_line:
        line = add_line("sample views")
        folder = cache_dir / "sample" / f"{views}-views"  # the demo's, so that it is drawn once
        return ensure_sample_gallery(folder, views=views, progress=line.update) / MANIFEST
