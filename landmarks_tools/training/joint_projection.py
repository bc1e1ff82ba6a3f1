"""The projection of the trained and the pre-trained layers' vectors to one joint vector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from encoder_service.models.base import FloatMatrix
from encoder_service.models.pooling import CentredPool
from landmarks_tools.training.pooling import centre, within_map


@dataclass(frozen=True)
class Branch:
    """One of the two: `found` are its uncentred unit vectors (N, C) of photos, `pool` its pooling.

    `share` is its weight in the joint vector; the shares add up to 1.
    """

    found: FloatMatrix
    pool: CentredPool
    share: float


def joint_map(
    branches: tuple[Branch, Branch], labels: torch.Tensor, shrinkage: float, dimension: int
) -> nn.Linear:
    """Return the map from both uncentred unit vectors (N, 2 C) to joint ones (N, dimension).

    Each branch is centred, projected as its pooling says, and whitened within landmarks with this
    `shrinkage` (0: not), then scaled to its share; `labels` (N,) are the landmarks of the photos.
    Of the two together the principal components are kept, most of the others being noise.
    """
    parts = [_part(branch, labels, shrinkage) for branch in branches]
    both = torch.cat([rows for _, _, rows in parts], dim=1)
    unit = functional.normalize(both)
    _, directions = torch.linalg.eigh(unit.T @ unit)  # the weakest first
    kept = directions[:, -dimension:].flip(1)
    (first, _, _), (second, _, _) = parts
    split = len(first)
    weight = torch.cat([kept[:split].T @ first, kept[split:].T @ second], dim=1)
    bias = -kept.T @ torch.cat([shift for _, shift, _ in parts])
    joint = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        joint.weight.copy_(weight)
        joint.bias.copy_(bias)
    return joint


def _part(
    branch: Branch, labels: torch.Tensor, shrinkage: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a branch's map (C, C), what it makes of the offset (C,), and its rows (N, C)."""
    centre(branch.pool, branch.found)
    offset = branch.pool.offset.detach().double().cpu()
    projection = branch.pool.projection
    if isinstance(projection, nn.Linear):
        linear = projection.weight.detach().double().cpu()
    else:
        linear = torch.eye(len(offset), dtype=torch.float64)
    centred = torch.from_numpy(branch.found).double() - offset
    if shrinkage:
        projected = functional.normalize(centred @ linear.T)
        linear = within_map(projected, labels, shrinkage) @ linear
    rows = centred @ linear.T
    scale = branch.share**0.5 / rows.norm(dim=1).mean()
    return linear * scale, linear @ offset * scale, rows * scale
