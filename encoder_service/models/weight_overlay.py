"""Tensors of ours over a network's own: what transfer learning replaced, and small additions.

They keep the names that the built network has for them, behind a prefix that no network uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from landmarks.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import nn

    from encoder_service.tensors import Tensors

_PREFIX = "ours."


def as_overlay(tensors: Tensors) -> Tensors:
    """Return a network's tensors under names that no network uses itself."""
    return {_PREFIX + name: tensor for name, tensor in tensors.items()}


def split_overlay(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Return the network's own tensors, and ours under their names in the built network."""
    original = {name: tensor for name, tensor in tensors.items() if not name.startswith(_PREFIX)}
    overlay = {
        name.removeprefix(_PREFIX): tensors[name] for name in tensors if name not in original
    }
    return original, overlay


def apply_overlay(network: nn.Module, overlay: Tensors) -> None:
    """Replace tensors of `network`, in place; half precision becomes the network's.

    Raises ConfigurationError where the network has no such tensor, or one of another shape.
    """
    try:
        unknown = network.load_state_dict(dict(overlay), strict=False).unexpected_keys
    except RuntimeError as error:  # another shape
        raise ConfigurationError(f"these weights are of another network: {error}") from error
    if unknown:
        raise ConfigurationError(f"these weights are of another network: it has no {unknown[0]}")
