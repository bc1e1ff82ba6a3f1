"""How a model runs on this machine: runtime, precision, and the division of the cores.

On a CPU, several batches side by side on one thread each beat one batch on several threads, since
no thread waits for another. Where the processor supports bfloat16 and the model tolerates it, torch
in bfloat16 is twice as fast as anything in single precision. A GPU needs large batches. The figures
are in `docs/benchmarks.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from landmarks.errors import ConfigurationError

RuntimeName = Literal["onnxruntime", "torch"]
Precision = Literal["float32", "bfloat16"]

_ONNX_BATCH = 2
_TORCH_BATCH = 4
_GPU_BATCH = 32


@dataclass(frozen=True)
class ExecutionPlan:
    """`workers` batches at once, each of up to `batch` photos on `threads` threads."""

    runtime: RuntimeName
    device: str
    precision: Precision
    workers: int
    threads: int
    batch: int

    @property
    def workers_decode(self) -> bool:
        """True where workers decode their own photos: when each has a single core.

        Decoding threads would compete with the workers for the cores, and each photo would change
        threads twice.
        """
        return self.device == "cpu" and self.threads == 1

    def __str__(self) -> str:
        """Describe the plan, as in `onnxruntime on cpu in float32, 2 × 1 threads, batches of 2`."""
        words = f"{self.runtime} on {self.device} in {self.precision}, "
        if self.device != "cpu":
            return words + f"batches of {self.batch}"
        return words + f"{self.workers} × {self.threads} threads, batches of {self.batch}"


@dataclass(frozen=True)
class PlanOverrides:
    """Parts of a plan that the settings fix; None or 0 leaves the measured default."""

    runtime: RuntimeName | None = None
    precision: Precision | None = None
    workers: int = 0
    threads: int = 0
    batch: int = 0


def choose_plan(
    device: str,
    cores: int,
    *,
    supports_bfloat16: bool,
    has_bfloat16: bool,
    overrides: PlanOverrides,
) -> ExecutionPlan:
    """Return how to run a model on `device`, as torch calls it, with `cores` of the CPU.

    `supports_bfloat16`: the model's vectors stay the same in that precision; `has_bfloat16`: the
    processor computes in it. Raises ConfigurationError for overrides that contradict each other.
    """
    runtime, precision = _runtime_and_precision(device, supports_bfloat16, has_bfloat16, overrides)
    if device != "cpu":
        return ExecutionPlan(
            runtime, device, precision, 1, overrides.threads or 1, overrides.batch or _GPU_BATCH
        )
    # Torch's kernels parallelise one batch well. ONNX Runtime is faster with a batch per core, and
    # one more that computes while another worker waits for its next batch.
    if runtime == "torch":
        side_by_side = 1
    elif overrides.threads > 1:
        side_by_side = max(1, cores // overrides.threads)
    else:
        side_by_side = cores + 1
    workers = overrides.workers or side_by_side
    threads = overrides.threads or max(1, cores // workers)
    batch = overrides.batch or (_TORCH_BATCH if runtime == "torch" else _ONNX_BATCH)
    return ExecutionPlan(runtime, device, precision, workers, threads, batch)


def _runtime_and_precision(
    device: str, supports_bfloat16: bool, has_bfloat16: bool, overrides: PlanOverrides
) -> tuple[RuntimeName, Precision]:
    if overrides.precision == "bfloat16" and not supports_bfloat16:
        raise ConfigurationError(
            "this model's vectors change too much in bfloat16; leave LANDMARKS_PRECISION unset"
        )
    if overrides.runtime == "onnxruntime" and (
        device != "cpu" or overrides.precision == "bfloat16"
    ):
        raise ConfigurationError(
            "LANDMARKS_RUNTIME=onnxruntime computes on the CPU and in float32, and"
            f" LANDMARKS_DEVICE={device} or LANDMARKS_PRECISION={overrides.precision or 'unset'}"
            " contradicts that; leave it unset, or set it to torch"
        )
    bfloat16_pays = supports_bfloat16 and (device != "cpu" or has_bfloat16)
    if overrides.runtime != "onnxruntime" and bfloat16_pays and overrides.precision != "float32":
        return "torch", "bfloat16"
    precision = overrides.precision or "float32"
    if device != "cpu" or precision == "bfloat16":
        return "torch", precision
    return overrides.runtime or "onnxruntime", precision


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU has bfloat16 instructions; without them it is only emulated."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
