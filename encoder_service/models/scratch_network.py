"""The network of `scratch`: a ten-layer residual CNN of 0.9 million parameters.

Basic blocks after He et al., "Deep Residual Learning for Image Recognition" (2016); the vector is
the layer before a cosine classifier, after Wang et al., "NormFace" (2017), so that
training shapes the angles between vectors.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

DIMENSION = 128
_WIDTHS = (32, 64, 128, 192)


class _Block(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut; halves height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.norm3(self.shortcut(functional.avg_pool2d(x, 2)))
        x = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(shortcut + self.norm2(self.conv2(x)), inplace=True)


class ScratchNetwork(nn.Module):
    """Photos (N, 3, 112, 112), normalised, to vectors (N, 128), not yet of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _WIDTHS[0], 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(_WIDTHS[0])
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in itertools.pairwise(_WIDTHS)))
        self.embedding = nn.Linear(_WIDTHS[-1], DIMENSION, bias=False)
        self.embedding_norm = nn.BatchNorm1d(DIMENSION)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return vectors (N, 128) for photos (N, 3, H, W)."""
        x = functional.relu(self.stem_norm(self.stem(x)), inplace=True)
        x = self.blocks(x).mean(dim=(2, 3))
        embedded: torch.Tensor = self.embedding_norm(self.embedding(x))
        return embedded
