"""Reads and writes named tensors as safetensors, and computes their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from landmarks.errors import ConfigurationError
from landmarks.files import replace_file

if TYPE_CHECKING:  # reading metadata needs no torch, which takes seconds to import
    import torch

Tensors = Mapping[str, "torch.Tensor"]


def tensors_digest(tensors: Tensors) -> str:
    """Return the sha256, as hex, of the names, types, shapes and bytes of `tensors`.

    It does not depend on their order, memory layout, device or file format.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        header = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(json.dumps(header).encode() + b"\n")
        # Viewed as bytes, because numpy has no bfloat16; reshaped, because a scalar has no axis.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file. Raises ConfigurationError where it is not one."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as a safetensors file: {error}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; raises as `read_tensors`."""
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as a safetensors file: {error}") from error


def write_tensors(tensors: Tensors, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    from safetensors.torch import save_file

    packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
    noted = dict(metadata) if metadata else None
    replace_file(path, lambda new: save_file(packed, new, noted))
