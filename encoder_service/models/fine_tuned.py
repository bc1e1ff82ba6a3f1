"""Models trained from others: the network of a base model, with trained tensors laid over it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from encoder_service.models.base import ModelDefinition
from encoder_service.models.weight_sources import CommittedWeights
from encoder_service.tensors import read_metadata

if TYPE_CHECKING:  # describing a model needs no torch, which takes seconds to import
    from torch import nn

    from encoder_service.tensors import Tensors

# Keys of a trained file's metadata: the base model, and for a two-branch network its vectors'
# dimension.
BASE = "base"
TWO_BRANCH_DIMENSION = "twin"


def trained_from(base: ModelDefinition, name: str, path: Path) -> ModelDefinition:
    """Return the model of a file written by `landmarks train`.

    Where the base's weights ship with the program, the file holds all tensors; otherwise those that
    transfer learning replaced.
    """
    if isinstance(base.weights, CommittedWeights):
        return replace(
            base,
            name=name,
            description=f"The network of {base.name}, trained again.",
            weights=CommittedWeights(path),
        )
    model = replace(
        base,
        name=name,
        description=f"{base.name} with transfer learning on landmarks.",
        overlay=path,
    )
    twin = read_metadata(path).get(TWO_BRANCH_DIMENSION)
    if twin is None:
        return model
    return replace(
        model,
        # Part of the digest: another wording would be another encoder.
        layer=f"{base.layer}, of the trained and of the untrained layers together",
        dimension=int(twin),
        build=partial(_build_two_branch, base, int(twin)),
        split=None,
    )


def _build_two_branch(base: ModelDefinition, dimension: int, tensors: Tensors) -> nn.Module:
    from encoder_service.models.two_branch import build_two_branch  # imports torch

    return build_two_branch(base, tensors, dimension)
