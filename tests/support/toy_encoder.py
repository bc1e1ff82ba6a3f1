"""An encoder in one file, without weights: the colours of 4 × 4 tiles."""

import torch
from torch import nn

from encoder_service.models.base import ModelDefinition
from encoder_service.models.preprocessing import Resized
from encoder_service.models.weight_sources import NoWeights


class _Tiles(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)


MODEL = ModelDefinition(
    name="toy",
    description="Colours of tiles, for tests.",
    layer="tiles",
    dimension=48,
    revision=1,
    preprocessing=Resized(32, "squash", (128.0,) * 3, (64.0,) * 3, decode_size=None),
    pooling="mean",
    weights=NoWeights(),
    build=lambda tensors: _Tiles(),
)
