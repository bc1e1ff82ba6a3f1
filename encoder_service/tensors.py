"""Named tensors: reading and writing safetensors, and their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from landmarks.errors import ConfigurationError
from landmarks.files import replace_file

if TYPE_CHECKING:  # what only looks at a file's metadata should not wait for it
    import torch

Tensors = Mapping[str, "torch.Tensor"]


def tensors_digest(tensors: Tensors) -> str:
    """Return the sha256, as hex, of the names, types, shapes and bytes of `tensors`, by name.

    It does not depend on the order, the memory layout, the device or the file they came in.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        header = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        digest.update(json.dumps(header).encode() + b"\n")
        # As bytes, because numpy has no bfloat16. reshape first: a scalar has no last axis.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file. Raises ConfigurationError where it is not one."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as a safetensors file: {error}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a safetensors file says beside its tensors; raises as `read_tensors`."""
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as a safetensors file: {error}") from error


def write_tensors(tensors: Tensors, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, all of it or nothing."""
    from safetensors.torch import save_file

    packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
    noted = dict(metadata) if metadata else None
    replace_file(path, lambda new: save_file(packed, new, noted))
