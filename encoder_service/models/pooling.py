"""From a map of features to one vector: weighted towards the middle, evened out, centred."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from encoder_service.models.base import Json
from encoder_service.models.precision import in_single_precision
from encoder_service.tensors import Tensors

# Of the map's side. Photographers put what they mean in the middle.
_SIGMA = 3 / 7
# Below 1, a few channels that shout are heard less.
_POWER = 0.65
# Where a channel is silent, the power's slope would be infinite.
_SILENCE = 1e-5
_FLOOR = _SILENCE**_POWER

POOLING: Mapping[str, Json] = {"sigma": _SIGMA, "power": _POWER, "silence": _SILENCE}


class CentredPool(nn.Module):
    """Pools features (N, C, H, W), none negative, to vectors (N, C).

    A mean with a Gaussian centre prior (Babenko and Lempitsky, "Aggregating Deep Convolutional
    Features for Image Retrieval", 2015), a power below one (Perronnin et al., "Improving the
    Fisher Kernel", 2010) and unit length, from which `offset` is taken: what photos have in
    common, and so tells nothing (Jégou and Chum, "Negative evidences and co-occurrences in image
    retrieval", 2012). Where there are no features at all the vector is zero.

    A model may have a linear `projection` behind, which weighs and mixes what is left.
    """

    projection: nn.Module

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(channels))
        self.projection = nn.Identity()

    @classmethod
    def for_overlay(cls, channels: int, overlay: Tensors) -> CentredPool:
        """Return a pooling for tensors that will be laid over it as a network's `pool`."""
        pool = cls(channels)
        if any(name.startswith("pool.projection.") for name in overlay):
            pool.add_projection()
        return pool

    def add_projection(self) -> nn.Linear:
        """Put a projection behind that changes nothing yet, and return it."""
        channels = len(self.offset)
        self.projection = projection = nn.Linear(channels, channels, bias=False)
        nn.init.eye_(projection.weight)
        return projection

    def unit(self, features: torch.Tensor) -> torch.Tensor:
        """Return the unit vectors (N, C), float32, before the offset is taken."""
        height, width = features.shape[2:]
        weights = _prior(height, features)[:, None] * _prior(width, features)[None, :]
        pooled = (features * weights).sum(dim=(2, 3))
        # In single precision: half would round silence to nothing.
        return functional.normalize(pooled.float().clamp_min(0).add(_SILENCE).pow(_POWER) - _FLOOR)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return vectors (N, C), float32, not of unit length."""
        unit = self.unit(features)
        with in_single_precision(unit):
            centred = unit - self.offset * unit.any(dim=1, keepdim=True)
            projected: torch.Tensor = self.projection(centred)
        return projected


def _prior(side: int, like: torch.Tensor) -> torch.Tensor:
    """Return the weights (side,) of one axis; they add up to 1."""
    places = (torch.arange(side, device=like.device) + 0.5) / side - 0.5
    return torch.softmax(-(places.float() ** 2) / (2 * _SIGMA**2), dim=0).to(like.dtype)
