"""ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

# From 1.29 on, its Linux wheels write an id of this machine into the user's cache and report
# processes and models to their maker. It reads this once, when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from encoder_service.execution_plan import ExecutionPlan
from encoder_service.models.base import FloatArray, FloatMatrix
from landmarks.errors import ConfigurationError

INPUT, OUTPUT = "photos", "vectors"


class OnnxRuntime:
    """Runs the network of an ONNX file according to `plan`.

    One session serves all workers, so the weights are in memory once. With one thread, a batch runs
    on the calling thread.
    """

    def __init__(self, file: Path | bytes, plan: ExecutionPlan) -> None:
        self.plan = plan
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = plan.threads
        options.inter_op_num_threads = 1
        # Spinning idle threads would take the cores from the decoders.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                file if isinstance(file, bytes) else str(file),
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # a dozen undocumented kinds
            raise ConfigurationError(f"onnxruntime cannot load the model: {error}") from error

    def run(self, batch: FloatArray) -> FloatMatrix:
        """Return the network's vectors (N, dimension) for photos (N, 3, H, W) float32."""
        vectors: FloatMatrix = self._session.run([OUTPUT], {INPUT: batch})[0]
        return vectors
