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


def marked(tensors: Tensors) -> Tensors:
    """Return a network's tensors under names that no network uses itself."""
    return {_PREFIX + name: tensor for name, tensor in tensors.items()}


def separated(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Return the network's own tensors, and ours under their names in the built network."""
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_PREFIX)}
    ours = {name.removeprefix(_PREFIX): tensors[name] for name in tensors if name not in own}
    return own, ours


def lay_over(network: nn.Module, ours: Tensors) -> None:
    """Replace tensors of `network`, in place; half precision becomes the network's.

    Raises ConfigurationError where the network has no such tensor, or one of another shape.
    """
    try:
        unknown = network.load_state_dict(dict(ours), strict=False).unexpected_keys
    except RuntimeError as error:  # another shape
        raise ConfigurationError(f"these weights are of another network: {error}") from error
    if unknown:
        raise ConfigurationError(f"these weights are of another network: it has no {unknown[0]}")
