"""Getting the models' weights before anything is started, with progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from landmarks.cli.output import console, progress
from landmarks.errors import LandmarksError
from landmarks.settings import Settings


def registered_models() -> list[str]:
    """Return the names of all encoders."""
    from encoder_service.models.registry import MODELS  # here, so that --help stays quick

    return list(MODELS)


def fetch_weights(model: str, settings: Settings, *, quiet: bool = False) -> Path:
    """Return the file of a model's verified weights, fetched first if need be."""
    from encoder_service.weights import ensure_weights

    if quiet:
        return ensure_weights(model, settings)
    with progress() as display:
        line = display.line(f"weights of {model}")

        def show(done: int, total: int) -> None:
            line.update(done, total, "bytes")

        return ensure_weights(model, settings, show)


def models_with_weights(asked: Sequence[str], settings: Settings) -> list[str]:
    """Return the models to serve: those asked for, or else all whose weights can be had.

    Raises the error of a model that was asked for and cannot be had.
    """
    served: list[str] = []
    for model in asked or registered_models():
        try:
            file = fetch_weights(model, settings)
        except LandmarksError as error:
            if asked:
                raise
            console.print(f"  {model}: left out; {error}", markup=False)
        else:
            served.append(model)
            console.print(f"  {model}: weights in {file}", markup=False)
    return served
