"""Pools a feature map to one vector: centre-weighted, power-normalised, mean-centred."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from encoder_service.models.base import Json
from encoder_service.models.precision import in_single_precision
from encoder_service.tensors import Tensors

# As a share of the map's side. Photographers put their subject in the middle.
_SIGMA = 3 / 7
# Below 1, so that a few strong channels do not dominate.
_POWER = 0.65
# Added before the power, whose slope at 0 is infinite.
_SILENCE = 1e-5
_FLOOR = _SILENCE**_POWER

POOLING: Mapping[str, Json] = {"sigma": _SIGMA, "power": _POWER, "silence": _SILENCE}


class CentredPool(nn.Module):
    """Pools features (N, C, H, W), none negative, to vectors (N, C).

    A mean with a Gaussian centre prior (Babenko and Lempitsky, "Aggregating Deep Convolutional
    Features for Image Retrieval", 2015), a power below one (Perronnin et al., "Improving the
    Fisher Kernel", 2010) and unit length. `offset`, what all photos have in common, is subtracted
    (Jégou and Chum, "Negative evidences and co-occurrences in image retrieval", 2012). Where there
    are no features at all the vector is zero.

    A model may add a linear `projection` after that.
    """

    projection: nn.Module

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(channels))
        self.projection = nn.Identity()

    @classmethod
    def for_overlay(cls, channels: int, overlay: Tensors) -> CentredPool:
        """Return a pooling with the parameters that `overlay` has for a network's `pool`."""
        pool = cls(channels)
        if any(name.startswith("pool.projection.") for name in overlay):
            pool.add_projection()
        return pool

    def add_projection(self) -> nn.Linear:
        """Add a projection, the identity at first, and return it."""
        channels = len(self.offset)
        self.projection = projection = nn.Linear(channels, channels, bias=False)
        nn.init.eye_(projection.weight)
        return projection

    def unit(self, features: torch.Tensor) -> torch.Tensor:
        """Return the unit vectors (N, C), float32, before the offset is subtracted."""
        height, width = features.shape[2:]
        weights = _prior(height, features)[:, None] * _prior(width, features)[None, :]
        pooled = (features * weights).sum(dim=(2, 3))
        # In single precision: half precision would round `_SILENCE` to 0.
        return functional.normalize(pooled.float().clamp_min(0).add(_SILENCE).pow(_POWER) - _FLOOR)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return vectors (N, C), float32, not of unit length."""
        unit = self.unit(features)
        with in_single_precision(unit):
            # Cast, as torch 2.11 fails to export products of numbers and truth values, at times.
            something = unit.any(dim=1, keepdim=True).to(unit.dtype)
            centred = unit - self.offset * something
            projected: torch.Tensor = self.projection(centred)
        return projected


def _prior(side: int, like: torch.Tensor) -> torch.Tensor:
    """Return the weights (side,) of one axis; they add up to 1."""
    places = (torch.arange(side, device=like.device) + 0.5) / side - 0.5
    return torch.softmax(-(places.float() ** 2) / (2 * _SIGMA**2), dim=0).to(like.dtype)
