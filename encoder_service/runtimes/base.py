"""The interface of runtimes, which run networks; a model's digest does not depend on them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from PIL import Image

from encoder_service.execution_plan import ExecutionPlan
from encoder_service.models.base import EncoderSpec, FloatArray, FloatMatrix, Preprocessing


class Runtime(Protocol):
    """Runs one network. Up to `plan.workers` threads may call `run` at once."""

    @property
    def plan(self) -> ExecutionPlan:
        """How it runs."""

    def run(self, batch: FloatArray) -> FloatMatrix:
        """Return the network's vectors (N, dimension) for photos (N, 3, H, W) float32."""


class RuntimeEncoder:
    """A model and its runtime: the `Encoder` that the service uses."""

    def __init__(self, spec: EncoderSpec, preprocessing: Preprocessing, runtime: Runtime) -> None:
        self._spec = spec
        self._preprocessing = preprocessing
        self._runtime = runtime

    @property
    def spec(self) -> EncoderSpec:
        """What this encoder is."""
        return self._spec

    @property
    def plan(self) -> ExecutionPlan:
        """How it runs."""
        return self._runtime.plan

    def preprocess(self, image: Image.Image) -> FloatArray:
        """Return one photo (mode RGB, any size) as the network takes it: (3, H, W) float32."""
        return self._preprocessing(image)

    def embed(self, batch: FloatArray) -> FloatMatrix:
        """Return unit rows (N, dimension) for preprocessed photos (N, 3, H, W)."""
        return unit_rows(self._runtime.run(batch))


def unit_rows(vectors: FloatMatrix) -> FloatMatrix:
    """Return `vectors` scaled to rows of length 1; rows of zeros stay zero.

    Accumulated in float64, so that lengths are exact to the last digit of float32.
    """
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    rows: FloatMatrix = (wide / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return rows
