"""What every peer has in common with the service: its ONNX model, and its decoding.

Peers run in environments of their own, so this imports nothing but numpy, Pillow and ONNX Runtime.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from encoder_service.execution_plan import ExecutionPlan
from encoder_service.models.base import FloatArray, FloatMatrix
from encoder_service.models.preprocessing import Resized
from encoder_service.runtimes.base import unit_rows
from encoder_service.runtimes.onnx import OnnxRuntime
from landmarks.photos.decode import decode
from landmarks.photos.limits import PhotoLimits

_VARIABLE = "LANDMARKS_PEER"
_LIMITS = PhotoLimits(20_000_000, 64_000_000)


@dataclass(frozen=True)
class Sharing:
    """How a peer shares out the cores: as many sessions at once, their threads and batches."""

    workers: int
    threads: int
    batch: int

    def __str__(self) -> str:
        """Return it in words."""
        words = f"{self.workers} × {self.threads} threads"
        return words if self.batch == 1 else f"{words}, batches of up to {self.batch}"


@dataclass(frozen=True)
class PeerSettings:
    """Settings of a peer, in an environment variable. `preprocessing` are `Resized`'s fields."""

    model: str
    port: int
    onnx: str
    preprocessing: dict[str, object]
    sharing: Sharing

    def environment(self) -> dict[str, str]:
        """Return the variable."""
        return {_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def read(cls) -> PeerSettings:
        """Read the variable."""
        values = json.loads(os.environ[_VARIABLE])
        return cls(**{**values, "sharing": Sharing(**values["sharing"])})


class PeerModel:
    """The model as the service runs it, without the service. Several threads may use it."""

    def __init__(self, settings: PeerSettings) -> None:
        fields = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.preprocessing.items()
        }
        self._preprocessing = Resized(**fields)  # type: ignore[arg-type]
        shared = settings.sharing
        plan = ExecutionPlan(
            "onnxruntime", "cpu", "float32", shared.workers, shared.threads, shared.batch
        )
        self._runtime = OnnxRuntime(Path(settings.onnx), plan)
        side = self._preprocessing.input_size
        for count in {1, shared.batch}:
            self.embed([np.zeros((3, side, side), np.float32)] * count)

    def decoded(self, photo: bytes) -> FloatArray:
        """Return a photo (any format the service reads) as (3, H, W) float32."""
        image = decode(photo, _LIMITS, self._preprocessing.decode_size).image
        return self._preprocessing(image)

    def embed(self, photos: Sequence[FloatArray]) -> FloatMatrix:
        """Return unit rows (N, dimension)."""
        return unit_rows(self._runtime.run(np.stack(photos)))
