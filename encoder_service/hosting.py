"""One model of this process: loading, warming up, its batcher, and the thread that owns it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import structlog
import torch

from encoder_service.batcher import Batcher, BatchLimits
from encoder_service.loading import load_encoder
from encoder_service.models.contract import Encoder
from encoder_service.settings import EncoderSettings
from encoder_service.weights import Progress
from landmarks.errors import ConfigurationError, LandmarksError, UnavailableError

_log = structlog.get_logger(__name__)

Vector = npt.NDArray[np.float32]
PhotoBatcher = Batcher[torch.Tensor, Vector]
Load = Callable[[str, EncoderSettings, Progress], Encoder]

# A download that failed may succeed when the network is back.
_RETRY_LOADING_SECONDS = 30.0


class ModelHost:
    """A model that this process serves. Create it while the event loop runs."""

    def __init__(self, name: str, settings: EncoderSettings, load: Load = load_encoder) -> None:
        self.name = name
        self.failure = ""
        self._settings = settings
        self._load = load
        self._encoder: Encoder | None = None
        # One thread owns the model: it loads it, and runs every batch.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"inference-{name}")
        limits = BatchLimits(
            settings.batch_size,
            settings.batch_delay_seconds,
            settings.max_queued_photos,
            settings.max_queued_pixels,
        )
        self.batcher: PhotoBatcher = Batcher(self._embed, limits)

    @property
    def ready(self) -> bool:
        """True once the model is loaded and warm."""
        return self._encoder is not None

    @property
    def loaded(self) -> Encoder | None:
        """The encoder, if it is ready."""
        return self._encoder

    def encoder(self) -> Encoder:
        """Return the encoder.

        Raises UnavailableError while it loads, and where it could not be loaded: another replica,
        or this one mended, may serve it.
        """
        if self._encoder is not None:
            return self._encoder
        if self.failure:
            raise UnavailableError(f"model {self.name!r} could not be loaded: {self.failure}")
        raise UnavailableError(f"model {self.name!r} is still loading; try again in a moment")

    async def load(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Load the model and warm it up; afterwards it is ready, or `failure` says why not.

        Where its weights cannot be had now, it is tried again. `changed` is awaited whenever
        `ready` or `failure` has changed.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._encoder = await loop.run_in_executor(self._thread, self._loaded_and_warm)
            except UnavailableError as error:
                self.failure = str(error)
                _log.warning("model not loaded; will try again", model=self.name, reason=str(error))
                await changed()
                await asyncio.sleep(_RETRY_LOADING_SECONDS)
            except LandmarksError as error:
                self.failure = str(error)
                _log.error("model not loaded", model=self.name, reason=str(error))
                break
            except Exception as error:  # noqa: BLE001 - torch and files raise what they like
                self.failure = f"{type(error).__name__}: {error}"
                _log.exception("model not loaded", model=self.name)
                break
            else:
                self.failure = ""
                _log.info("model ready", model=self.name, digest=self._encoder.spec.digest)
                break
        await changed()

    async def close(self) -> None:
        """Stop the batcher, and the thread once it is idle."""
        await self.batcher.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _loaded_and_warm(self) -> Encoder:
        encoder = self._load(self.name, self._settings, _logged_progress(self.name))
        if encoder.spec.name != self.name:
            raise ConfigurationError(f"asked for {self.name!r}, loaded {encoder.spec.name!r}")
        # The first runs choose kernels and allocate; no caller should wait for that.
        side = encoder.spec.input_size
        for count in {1, self._settings.batch_size}:
            rows = encoder.embed(torch.zeros(count, 3, side, side))
            if rows.shape != (count, encoder.spec.dimension):
                raise ConfigurationError(
                    f"{self.name!r} gives vectors of shape {rows.shape}, not of the"
                    f" {encoder.spec.dimension} dimensions that it declares"
                )
        return encoder

    async def _embed(self, photos: Sequence[torch.Tensor]) -> Sequence[Vector]:
        encoder = self.encoder()

        def run() -> list[Vector]:
            return list(encoder.embed(torch.stack(list(photos))))

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)


def _logged_progress(model: str) -> Progress:
    """Return a progress that logs each tenth."""
    logged = -1

    def progress(done: int, total: int) -> None:
        nonlocal logged
        tenth = 10 * done // total if total else 0
        if tenth != logged:
            logged = tenth
            _log.info("downloading weights", model=model, bytes_done=done, bytes_total=total)

    return progress
