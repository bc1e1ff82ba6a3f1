"""Settings of the encoder service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from encoder_service.execution_plan import PlanOverrides, Precision, RuntimeName
from landmarks.photos.limits import DEFAULT_MAX_DECODING_BYTES, DEFAULT_MAX_PHOTO_PIXELS
from landmarks.rpc.channel import MAX_MESSAGE_BYTES
from landmarks.settings import DEFAULT_MAX_PHOTO_BYTES, NameList, Settings

# Space in a message for everything but its photos: names, digests, lengths.
MESSAGE_OVERHEAD_BYTES = 64 * 1024


class WeightsSettings(Settings):
    """Where weights are kept.

    `weights_files` is JSON that maps the name of fetched weights to a local file of them.
    `trained_models` is JSON that maps the name of a user's own model to its file, written by
    `landmarks train`.
    """

    weights_files: dict[str, Path] = Field(default_factory=dict)
    trained_models: dict[str, Path] = Field(default_factory=dict)


class EncoderSettings(WeightsSettings):
    """The encoder service's settings.

    `models`: comma-separated names of the models that this process serves.
    """

    encoder_host: str = "127.0.0.1"
    encoder_port: int = Field(50051, ge=0, le=65535)  # 0: any free one
    models: NameList = ("efficientnet_lite0_landmarks",)

    max_photo_bytes: int = Field(DEFAULT_MAX_PHOTO_BYTES, gt=0)
    max_photo_pixels: int = Field(DEFAULT_MAX_PHOTO_PIXELS, gt=0)
    # What decoding one photo may take; larger ones of all threads together wait for each other.
    max_decoding_bytes: int = Field(DEFAULT_MAX_DECODING_BYTES, gt=0)
    max_batch_photos: int = Field(64, gt=0)
    max_request_bytes: int = Field(MAX_MESSAGE_BYTES, gt=0)

    # Caps per model on accepted photos that are not answered yet, on their bytes, and on the pixels
    # that they declare.
    max_queued_photos: int = Field(512, gt=0)
    max_queued_bytes: int = Field(512_000_000, gt=0)
    # A batch of 64 photos of 50 megapixels has 3.2 billion.
    max_queued_pixels: int = Field(4_000_000_000, gt=0)

    # How each model runs. Unset or 0: the measured default for the device, see
    # `encoder_service.execution_plan`.
    device: str = "cpu"  # as torch calls it
    runtime: RuntimeName | None = None
    precision: Precision | None = None
    workers: int = Field(0, ge=0)  # batches at once
    threads: int = Field(0, ge=0)  # per batch
    batch_size: int = Field(0, ge=0)  # most photos of a batch
    # How long a photo may wait for others to fill its batch. Unset: not at all on a CPU, where
    # larger batches gain nothing.
    batch_delay_seconds: float | None = Field(None, ge=0)
    # Threads that decode photos for the workers. 0: none where each worker has one core and decodes
    # its own photos, else one per physical core.
    decode_threads: int = Field(0, ge=0)
    drain_seconds: float = Field(20, ge=0)

    @field_validator("models")
    @classmethod
    def _some_and_each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("names no model")
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _limits_fit_each_other(self) -> Self:
        if self.max_photo_bytes + MESSAGE_OVERHEAD_BYTES > self.max_request_bytes:
            raise ValueError(
                "max_photo_bytes must leave 64 KiB of max_request_bytes for the rest of a message"
            )
        return self

    @property
    def plan_overrides(self) -> PlanOverrides:
        """The parts of a model's execution plan that these settings fix."""
        return PlanOverrides(
            self.runtime, self.precision, self.workers, self.threads, self.batch_size
        )

    @property
    def cores(self) -> int:
        """Physical cores that this process may use."""
        return physical_cores()

    @property
    def decoders(self) -> int:
        """Threads that decode photos."""
        return self.decode_threads or self.cores


def physical_cores() -> int:
    """Return how many physical cores this process may use.

    Two hyper-threads of one core count once, since inference gains nothing from the second. A
    container's CPU quota is respected.
    """
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if usable is None:
        return os.cpu_count() or 1
    siblings = {
        _read(Path(f"/sys/devices/system/cpu/cpu{n}/topology/core_cpus_list")) or n for n in usable
    }
    quota = cpu_quota()
    return len(siblings) if quota is None else max(1, min(len(siblings), round(quota)))


def cpu_quota(groups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return how many cores' time a container may use; None if its control group sets no limit."""
    limit = _read(groups / "cpu.max").split()  # version 2
    if not limit:  # version 1, where the controller's folder has one of two names
        limit = [
            _read(groups / "cpu" / name) or _read(groups / "cpu,cpuacct" / name)
            for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        ]
    quota, period = limit[0], limit[-1]
    # No limit is "max" in version 2, and -1 in version 1.
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
