"""Torch in eager mode: on a GPU, and on CPUs that compute in bfloat16."""

from __future__ import annotations

import threading

import torch
from torch import nn

from encoder_service.execution_plan import ExecutionPlan
from encoder_service.models.base import FloatArray, FloatMatrix


class TorchRuntime:
    """Runs a network according to `plan`."""

    def __init__(self, network: nn.Module, plan: ExecutionPlan) -> None:
        self.plan = plan
        self._device = torch.device(plan.device)
        # Convolutions are up to twice as fast with channels last.
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        self._threads = threading.local()

    def run(self, batch: FloatArray) -> FloatMatrix:
        """Return the network's vectors (N, dimension) for photos (N, 3, H, W) float32."""
        if not hasattr(self._threads, "set"):  # the number is set per thread
            torch.set_num_threads(self.plan.threads)
            self._threads.set = True
        reduced = self.plan.precision == "bfloat16"
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=reduced),
        ):
            vectors = self._network(self._on_device(batch))
        rows: FloatMatrix = vectors.float().cpu().numpy()
        return rows

    def _on_device(self, batch: FloatArray) -> torch.Tensor:
        photos = torch.from_numpy(batch)
        if self._device.type == "cuda":  # from pinned memory, the copy overlaps computation
            photos = photos.pin_memory().to(self._device, non_blocking=True)
        return photos.contiguous(memory_format=torch.channels_last)
