"""Overlays: tensors that this project or its user lays over those of a published network.

They are what transfer learning replaced, and small additions. They keep the names that they have in
the built network, behind a prefix that no network uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from landmarks.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import nn

    from encoder_service.tensors import Tensors

_PREFIX = "ours."


def as_overlay(tensors: Tensors) -> Tensors:
    """Return the tensors with the prefix of an overlay before their names."""
    return {_PREFIX + name: tensor for name, tensor in tensors.items()}


def split_overlay(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Return the network's original tensors, and the overlay's without their prefix."""
    original = {name: tensor for name, tensor in tensors.items() if not name.startswith(_PREFIX)}
    overlay = {
        name.removeprefix(_PREFIX): tensors[name] for name in tensors if name not in original
    }
    return original, overlay


def apply_overlay(network: nn.Module, overlay: Tensors) -> None:
    """Replace tensors of `network` in place, converted to its precision.

    Raises ConfigurationError where the network lacks a tensor, or has another shape for it.
    """
    try:
        unknown = network.load_state_dict(dict(overlay), strict=False).unexpected_keys
    except RuntimeError as error:  # another shape
        raise ConfigurationError(f"these weights are of another network: {error}") from error
    if unknown:
        raise ConfigurationError(f"these weights are of another network: it has no {unknown[0]}")
