"""What runs a network: torch, on the CPU or a GPU. The model does not know, nor does the digest."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from encoder_service.models.contract import EncoderSpec, FloatMatrix, ModelDefinition
from encoder_service.tensors import Tensors


class Runtime(Protocol):
    """Runs one network."""

    @property
    def description(self) -> str:
        """Runtime, device and threads, in words."""

    def run(self, batch: Tensor) -> FloatMatrix:
        """Return the network's vectors (N, dimension) for photos (N, 3, H, W) float32."""


class TorchRuntime:
    """Torch without a graph compiler. Use it from one thread at a time."""

    def __init__(self, network: nn.Module, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        self.description = f"torch {torch.__version__} on {device}"
        if self._device.type == "cpu":
            self.description += f", {threads} threads"

    def run(self, batch: Tensor) -> FloatMatrix:
        """Return the network's vectors (N, dimension) for photos (N, 3, H, W) float32."""
        # Convolutions are up to twice as fast with the channels last, in memory as on paper.
        photos = batch.to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            vectors: FloatMatrix = self._network(photos).float().cpu().numpy()
        return vectors


class RuntimeEncoder:
    """A model and what runs it: the `Encoder` that the service uses."""

    def __init__(self, definition: ModelDefinition, tensors: Tensors, runtime: Runtime) -> None:
        self._definition = definition
        self._spec = definition.spec(tensors)
        self._runtime = runtime

    @property
    def spec(self) -> EncoderSpec:
        """What this encoder is."""
        return self._spec

    @property
    def runtime(self) -> str:
        """What runs it, in words."""
        return self._runtime.description

    def preprocess(self, image: Image.Image) -> Tensor:
        """Return one photo (mode RGB, any size) as the network takes it: (3, H, W) float32."""
        return self._definition.preprocessing(image)

    def embed(self, batch: Tensor) -> FloatMatrix:
        """Return unit rows (N, dimension) for preprocessed photos (N, 3, H, W)."""
        return unit_rows(self._runtime.run(batch))


def unit_rows(vectors: FloatMatrix) -> FloatMatrix:
    """Return `vectors` with rows of length 1; rows of zeros stay so.

    Accumulated in float64, so that the length is right to the last digit of float32.
    """
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    rows: FloatMatrix = (wide / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return rows
