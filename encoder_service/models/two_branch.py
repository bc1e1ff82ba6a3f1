"""A network with two branches of last layers: the original ones and those of transfer learning.

What training gains on some landmarks it loses on all others. With both branches side by side, one
linear map makes a vector from the two. Averaging their weights instead (Wortsman et al., "Robust
fine-tuning of zero-shot models", 2022) gains less; docs/quality.md.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from encoder_service.models.base import ModelDefinition
from encoder_service.models.precision import in_single_precision
from encoder_service.models.weight_overlay import apply_overlay, split_overlay
from encoder_service.tensors import Tensors


class TwoBranchHead(nn.Module):
    """Both branches and the linear map `joint`: activations to vectors (N, dimension), float32.

    Each branch pools to unit vectors (N, C), without offset and projection, which are part of
    `joint`. Where neither finds any features, the vector is zero.
    """

    def __init__(self, trained: nn.Module, untrained: nn.Module, joint: nn.Linear) -> None:
        super().__init__()
        self.trained = trained
        self.untrained = untrained
        self.joint = joint

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """Return vectors, not of unit length."""
        both = torch.cat((self.trained(activations), self.untrained(activations)), dim=1)
        with in_single_precision(both):
            joined: torch.Tensor = self.joint(both) * both.any(dim=1, keepdim=True).to(both.dtype)
        return joined


class TwoBranchNetwork(nn.Module):
    """The frozen layers, followed by a `TwoBranchHead`."""

    def __init__(self, trunk: nn.Module, tail: TwoBranchHead) -> None:
        super().__init__()
        self.trunk = trunk
        self.tail = tail

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """Return vectors (N, dimension), float32, not of unit length."""
        vectors: torch.Tensor = self.tail(self.trunk(photos))
        return vectors


def two_branch_network(
    base: ModelDefinition, original: Tensors, dimension: int
) -> TwoBranchNetwork:
    """Return the base's network with two untrained branches and an untrained map.

    `original` are the tensors of the base's network without the overlay.
    """
    if base.split is None:
        raise TypeError(f"{base.name} does not support transfer learning: it has no `split`")
    trunk, tail = base.split(base.build(original))
    joint = nn.Linear(2 * base.dimension, dimension)
    return TwoBranchNetwork(trunk, TwoBranchHead(deepcopy(tail), tail, joint)).eval()


def build_two_branch(base: ModelDefinition, tensors: Tensors, dimension: int) -> nn.Module:
    """Return the network of a model that was trained from `base` with `Transfer.keep`."""
    original, overlay = split_overlay(tensors)
    network = two_branch_network(base, original, dimension)
    apply_overlay(network.tail, overlay)
    return network.eval()
