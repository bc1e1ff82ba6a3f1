"""Models that training made out of others: the base's network, with what was trained over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from encoder_service.models.contract import ModelDefinition
from encoder_service.models.recipes import CommittedWeights

# In a trained file's metadata: the model whose network the tensors fit.
BASE = "base"


def trained_from(base: ModelDefinition, name: str, path: Path) -> ModelDefinition:
    """Return the model of a file of `landmarks train`.

    Where the base's own weights ship with the program, the file holds all of them; else the tensors
    that transfer learning replaced.
    """
    if isinstance(base.weights, CommittedWeights):
        return replace(
            base,
            name=name,
            description=f"The network of {base.name}, trained anew.",
            weights=CommittedWeights(path),
        )
    return replace(
        base,
        name=name,
        description=f"{base.name} with transfer learning on landmarks.",
        over=path,
    )
