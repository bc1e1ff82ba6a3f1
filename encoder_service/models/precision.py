"""Keeps steps of a network in single precision where the rest runs in half precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def in_single_precision(like: torch.Tensor) -> AbstractContextManager[object]:
    """Return a context that disables autocast; a null context where autocast is off."""
    kind = like.device.type
    if not torch.is_autocast_enabled(kind):  # an exporter would put the context into the graph
        return nullcontext()
    return torch.autocast(kind, enabled=False)
