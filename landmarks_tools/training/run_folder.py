"""A training run's folder: its settings, checkpoints and results."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

import torch

from encoder_service.models.model_card import CurvePoint
from landmarks.errors import ConfigurationError, InvalidInputError
from landmarks.files import PARTIAL, replace_file

State = dict[str, object]
# Names of settings that are not options of the command.
_WORDS = {"data_digest": "photos (or their landmarks)", "base_digest": "weights of the base"}


class RunFolder:
    """The folder of one run. `settings` determine its result; a run continues only with the same.

    `settings.json`, `checkpoint.pt` and `best.pt` while it runs, `curve.csv` from the first epoch
    on; in the end `model.safetensors` with its card, `model.json` and `model.md`.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self.folder = folder
        self.settings = settings
        folder.mkdir(parents=True, exist_ok=True)
        requested = json.loads(json.dumps(settings))  # as it will be read again
        path = folder / "settings.json"
        others = [one for one in folder.iterdir() if one != path and not _is_half_written(one)]
        if not path.exists() and others:
            raise InvalidInputError(f"{folder} is not empty and holds no run; name another --out")
        # Settings alone are no run: one that failed early, as for a damaged photo, starts again.
        if others:
            before = _read_settings(path)
            if other := sorted(k for k in requested | before if requested.get(k) != before.get(k)):
                named = ", ".join(_WORDS.get(key, key) for key in other)
                raise InvalidInputError(
                    f"{folder} holds a run with other settings: {named}. Continue with the same,"
                    " choose another folder with --out, or remove this one"
                )
        else:
            replace_file(path, lambda new: new.write_text(json.dumps(requested, indent=1) + "\n"))
        if self.done:  # it may have been killed before tidying
            self.tidy()

    @property
    def model(self) -> Path:
        """The trained model's file."""
        return self.folder / "model.safetensors"

    @property
    def card(self) -> Path:
        """The model card, written last: if it exists, the run is done."""
        return self.folder / "model.json"

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self.card.exists()

    @property
    def activations(self) -> Path:
        """The folder of the frozen layers' activations until the run ends."""
        return self.folder / "activations"

    def save(self, name: str, state: State) -> None:
        """Save a state of tensors, numbers and strings, all of it or nothing."""
        replace_file(self.folder / f"{name}.pt", lambda new: torch.save(state, new))

    def load(self, name: str) -> State | None:
        """Return the state saved as `name`; None if there is none."""
        path = self.folder / f"{name}.pt"
        if not path.exists():
            return None
        try:
            state: State = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged archive: torch raises what it likes
            raise ConfigurationError(
                f"{path} cannot be read: {error}; remove {self.folder} to start again"
            ) from error
        return state

    def write_curve(self, curve: Sequence[CurvePoint]) -> None:
        """Write the curve so far as CSV."""

        def write(new: Path) -> None:
            with new.open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow([field.name for field in fields(CurvePoint)])
                rows.writerows(astuple(point) for point in curve)

        replace_file(self.folder / "curve.csv", write)

    def tidy(self) -> None:
        """Remove what only an unfinished run needs."""
        for name in ("checkpoint.pt", "best.pt"):
            (self.folder / name).unlink(missing_ok=True)
        for path in filter(_is_half_written, [*self.folder.iterdir()]):
            path.unlink()
        for path in self.activations.glob("*"):
            path.unlink()
        if self.activations.exists():
            self.activations.rmdir()


def _read_settings(path: Path) -> dict[str, object]:
    try:
        settings: dict[str, object] = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    return settings


def _is_half_written(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(PARTIAL)
