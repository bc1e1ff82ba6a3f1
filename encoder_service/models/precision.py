"""Steps that stay in single precision where the rest of a network runs in half of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def in_single_precision(like: torch.Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast; one that does nothing where there is none to leave."""
    kind = like.device.type
    if not torch.is_autocast_enabled(kind):  # an exporter would find a context in the graph
        return nullcontext()
    return torch.autocast(kind, enabled=False)
