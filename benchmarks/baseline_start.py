"""A bare script that imports, loads and warms a model, and says so with a line.

`python -m benchmarks.baseline_start JSON`. It does no more than a first vector needs:
neither settings nor checks, one warm-up for a batch of one and one for a full batch.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Photos = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StartPlan:
    """What is loaded, and how: the service's plan."""

    model: str
    runtime: str
    precision: str
    threads: int
    batch: int
    side: int
    onnx: str


def main(start: StartPlan) -> None:
    """Load and warm the model."""
    run = _onnx if start.runtime == "onnxruntime" else _torch
    run(start, [np.zeros((n, 3, start.side, start.side), np.float32) for n in (1, start.batch)])
    sys.stdout.write("warm\n")
    sys.stdout.flush()


def _onnx(start: StartPlan, batches: list[Photos]) -> None:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as in encoder_service/runtimes/onnx.py
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = start.threads
    session = onnxruntime.InferenceSession(start.onnx, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for batch in batches:
        session.run(None, {name: batch})


def _torch(start: StartPlan, batches: list[Photos]) -> None:
    import torch

    from encoder_service.models.registry import definition_of
    from encoder_service.settings import WeightsSettings
    from encoder_service.weights import load_weights

    torch.set_num_threads(start.threads)
    settings = WeightsSettings.load()
    definition = definition_of(start.model, settings.trained_models)
    network = definition.build(load_weights(start.model, settings)).eval()
    network = network.to(memory_format=torch.channels_last)
    reduced = start.precision == "bfloat16"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        for batch in batches:
            photos = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
            network(photos).float().numpy()


if __name__ == "__main__":
    main(StartPlan(**json.loads(sys.argv[1])))
