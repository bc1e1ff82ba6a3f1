"""`landmarks weights`, and fetching weights for the commands that need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from landmarks.errors import LandmarksError
from landmarks.settings import Settings
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import JsonOption, console, print_json, print_table, progress

_MEGABYTE = 1_000_000


@requires_extra("encoder")
def weights(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="Fetch and verify this model's weights.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show where each model's weights are; with MODEL, fetch and verify them."""
    from encoder_service.settings import WeightsSettings
    from encoder_service.weights import weights_status

    settings = WeightsSettings.load()
    if model:
        fetch_weights(model, settings, quiet=as_json)
    found = [weights_status(name, settings) for name in ([model] if model else registered_models())]
    if as_json:
        print_json([{**asdict(item), "path": str(item.path or "")} for item in found])
        return
    rows = [
        (
            item.model,
            item.where,
            "yes" if item.verified else "no",
            f"{item.bytes / 1e6:.1f}",
            str(item.path or item.source),
        )
        for item in found
    ]
    print_table(("model", "weights", "verified", ">MB", "where"), rows)


def registered_models() -> list[str]:
    """Return the names of all encoders, the user's own included."""
    from encoder_service.models.registry import model_names
    from encoder_service.settings import WeightsSettings

    return model_names(WeightsSettings.load().trained_models)


def default_models() -> list[str]:
    """Return the names of the encoders that are used by default."""
    from encoder_service.models.registry import ON_REQUEST

    return [name for name in registered_models() if name not in ON_REQUEST]


def fetch_weights(model: str, settings: Settings, *, quiet: bool = False) -> str:
    """Return where a model's verified weights are, after fetching them if needed."""
    from encoder_service.settings import WeightsSettings
    from encoder_service.weights import ensure_weights

    places = WeightsSettings.load({"cache_dir": settings.cache_dir})
    if quiet:
        return str(ensure_weights(model, places) or "none needed")
    with progress() as show:

        def fetched(done: int, total: int) -> None:
            show(f"weights of {model}", done // _MEGABYTE, max(total // _MEGABYTE, 1), "MB")

        return str(ensure_weights(model, places, fetched) or "none needed")


def models_with_weights(requested: Sequence[str], settings: Settings) -> list[str]:
    """Return the models to serve: the requested ones, or all defaults whose weights are available.

    Raises the error of a requested model whose weights cannot be fetched.
    """
    served: list[str] = []
    for model in requested or default_models():
        try:
            place = fetch_weights(model, settings)
        except LandmarksError as error:
            if requested:
                raise
            console.print(f"  {model}: left out; {error}")
        else:
            served.append(model)
            console.print(f"  weights of {model}: {place}")
    return served
