"""The model card of a training run: base, data, settings and scores.

As JSON for programs (`model.json`), as Markdown for people (`model.md`). Needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from encoder_service.models.shipped_weights import shipped
from landmarks.errors import ConfigurationError


@dataclass(frozen=True)
class CurvePoint:
    """One epoch: the mean training loss, and the scores on the validation split if measured."""

    epoch: int
    loss: float
    mean_average_precision: float | None = None
    recall_at_1: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class TrainingData:
    """The photos of a run. `digest` is the sha256 over each photo's split, landmark and sha256.

    `photos` counts them by split.
    """

    digest: str
    photos: Mapping[str, int]
    landmarks: int


@dataclass(frozen=True)
class ModelCard:
    """A training run, described so that it can be judged and repeated.

    `metrics` are the scores of the kept weights: the validation split searched in the training
    split.
    """

    name: str
    description: str
    base: str
    base_digest: str
    weights_digest: str
    parameters: int
    data: TrainingData
    settings: Mapping[str, object]
    metrics: Mapping[str, float]
    curve: tuple[CurvePoint, ...]
    environment: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write the card as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def markdown(self) -> str:
        """Return the card as Markdown."""
        counts = ", ".join(f"{count:,} of `{split}`" for split, count in self.data.photos.items())
        rows = [
            ("Trained on", f"{counts} photos; {self.data.landmarks} landmarks"),
            ("Base" if self.base_digest else "Network", f"`{self.base}` {self.base_digest[:12]}"),
            ("Data digest", f"`{self.data.digest[:12]}`"),
            ("Weights digest", f"`{self.weights_digest[:12]}`; {self.parameters:,} numbers"),
            ("Validation, in `train`", _listed(self.metrics)),
            ("Settings", _listed(self.settings)),
            ("Environment", _listed(self.environment)),
            ("Time", f"{sum(point.seconds for point in self.curve) / 60:.0f} min of training"),
        ]
        curve = [
            f"| {point.epoch} | {point.loss} | {_or_dash(point.mean_average_precision)}"
            f" | {_or_dash(point.recall_at_1)} |"
            for point in self.curve
        ]
        return "\n".join(
            [
                f"# {self.name}: model card\n",
                f"{self.description}\n",
                "| | |\n|---|---|",
                *(f"| {key} | {value} |" for key, value in rows),
                "\n| epoch | loss | mAP | R@1 |\n|---|---|---|---|",
                *curve,
                "",
            ]
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a card from JSON. Raises ConfigurationError where the file is not one."""
        try:
            data = json.loads(path.read_text())
            known = {field.name: data[field.name] for field in fields(cls)}
            return cls(
                **{
                    **known,
                    "data": TrainingData(**data["data"]),
                    "curve": tuple(CurvePoint(**point) for point in data["curve"]),
                }
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is not a model card: {error}") from error


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _or_dash(value: float | None) -> str:
    return "–" if value is None else str(value)


def committed_card(model: str) -> ModelCard | None:
    """Return the card of weights that ship with the program; None where the model has none."""
    path = shipped(f"{model}.json")
    return ModelCard.read(path) if path.is_file() else None
