"""One model of this process: loading, warming up, its batcher, and the threads that run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import structlog

from encoder_service.batcher import Batcher, BatchLimits
from encoder_service.execution_plan import Plan
from encoder_service.loader import load_encoder
from encoder_service.metrics import ModelMetrics
from encoder_service.models.base import Encoder, FloatArray
from encoder_service.settings import EncoderSettings
from encoder_service.weights import Progress
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.errors import ConfigurationError, LandmarksError, UnavailableError

_log = structlog.get_logger(__name__)

Vector = npt.NDArray[np.float32]
Load = Callable[[str, EncoderSettings, Progress], Encoder]

# A download that failed may succeed when the network is back.
_RETRY_LOADING_SECONDS = 30.0
# How long a photo on its way to a GPU waits for others.
_GPU_DELAY_SECONDS = 0.004


@dataclass(frozen=True)
class Decoded:
    """A photo as the network takes it, (3, H, W) float32, what it was, and the time that took."""

    pixels: FloatArray
    info: pb.PhotoInfo
    seconds: float


@dataclass(frozen=True)
class Embedded:
    """A photo's vector, (dimension,) float32, and how long the network ran, for the whole batch."""

    decoded: Decoded
    vector: Vector
    inference_seconds: float


# What a worker asks for its photo: one that was decoded beforehand, or that it decodes itself.
# Raises LandmarksError for a photo that cannot be decoded.
PhotoSource: TypeAlias = Callable[[], Decoded]
PhotoBatcher: TypeAlias = Batcher[PhotoSource, Embedded | LandmarksError]


class ModelHost:
    """A model that this process serves. Create it while the event loop runs."""

    def __init__(self, name: str, settings: EncoderSettings, load: Load = load_encoder) -> None:
        self.name = name
        self.failure = ""
        self._settings = settings
        self._load = load
        self._encoder: Encoder | None = None
        self._loader = ThreadPoolExecutor(1, thread_name_prefix=f"load-{name}")
        self._closing = False
        self._workers: ThreadPoolExecutor | None = None
        self._batcher: PhotoBatcher | None = None
        self.metrics = ModelMetrics(
            name, lambda: self._batcher.queued_photos if self._batcher else 0, lambda: self.ready
        )

    @property
    def ready(self) -> bool:
        """True once the model is loaded and warm."""
        return self._encoder is not None

    @property
    def loaded(self) -> Encoder | None:
        """The encoder, if it is ready."""
        return self._encoder

    @property
    def batcher(self) -> PhotoBatcher:
        """The model's queue; raises as `encoder`."""
        if self._batcher is None:
            self.encoder()
            raise UnavailableError(f"model {self.name!r} is shutting down")
        return self._batcher

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
                encoder, workers = await loop.run_in_executor(self._loader, self._loaded_and_warm)
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
                self._workers = workers
                self._batcher = Batcher(self._embed, self._limits(encoder.plan))
                self._encoder = encoder
                _log.info(
                    "model ready",
                    model=self.name,
                    digest=encoder.spec.digest,
                    plan=str(encoder.plan),
                )
                break
        await changed()

    async def close(self) -> None:
        """Stop the batcher, and the threads once they are idle; a download is broken off."""
        self._closing = True
        if self._batcher:
            await self._batcher.close()
        for threads in (self._loader, self._workers):
            if threads:
                threads.shutdown(wait=False, cancel_futures=True)
        self.metrics.close()

    def _limits(self, plan: Plan) -> BatchLimits:
        settings, delay = self._settings, self._settings.batch_delay_seconds
        if delay is None:
            delay = 0.0 if plan.device == "cpu" else _GPU_DELAY_SECONDS
        return BatchLimits(
            plan.batch,
            delay,
            settings.max_queued_photos,
            settings.max_queued_bytes,
            settings.max_queued_pixels,
            plan.workers,
        )

    def _loaded_and_warm(self) -> tuple[Encoder, ThreadPoolExecutor]:
        encoder = self._load(self.name, self._settings, self._download_progress())
        if encoder.spec.name != self.name:
            raise ConfigurationError(f"asked for {self.name!r}, loaded {encoder.spec.name!r}")
        workers = ThreadPoolExecutor(
            encoder.plan.workers, thread_name_prefix=f"inference-{self.name}"
        )
        try:
            _warm_up(encoder, workers)
        except BaseException:
            workers.shutdown(wait=False)
            raise
        return encoder, workers

    def _download_progress(self) -> Progress:
        """Return a progress that logs each tenth, and raises CancelledError once this closes.

        Otherwise the process, which waits for its threads, would outlive its grace period by as
        long as the download takes.
        """
        logged = -1

        def progress(done: int, total: int) -> None:
            nonlocal logged
            if self._closing:
                raise CancelledError
            tenth = 10 * done // total if total else 0
            if tenth != logged:
                logged = tenth
                _log.info(
                    "downloading weights", model=self.name, bytes_done=done, bytes_total=total
                )

        return progress

    async def _embed(self, photos: Sequence[PhotoSource]) -> Sequence[Embedded | LandmarksError]:
        return await asyncio.get_running_loop().run_in_executor(
            self._workers, self._embedded, self.encoder(), photos
        )

    def _embedded(
        self, encoder: Encoder, photos: Sequence[PhotoSource]
    ) -> list[Embedded | LandmarksError]:
        """Run one batch; in a worker. What is wrong with one photo does not stop the others."""
        sources = [_decoded(photo) for photo in photos]
        pixels = [one.pixels for one in sources if isinstance(one, Decoded)]
        if not pixels:
            return [one for one in sources if isinstance(one, LandmarksError)]
        started = time.monotonic()
        try:
            with self.metrics.batch(len(pixels)):
                vectors = iter(encoder.embed(np.stack(pixels)))
        except Exception as error:
            if len(pixels) == 1:  # larger batches are run again photo by photo
                _raise_if_broken(encoder, error)
            raise
        seconds = time.monotonic() - started
        return [
            Embedded(one, next(vectors), seconds) if isinstance(one, Decoded) else one
            for one in sources
        ]


def _decoded(photo: PhotoSource) -> Decoded | LandmarksError:
    try:
        return photo()
    except LandmarksError as error:
        return error


def _raise_if_broken(encoder: Encoder, error: Exception) -> None:
    """Raise UnavailableError where the encoder fails at a blank photo too: no photo is to blame."""
    size = encoder.spec.input_size
    try:
        encoder.embed(np.zeros((1, 3, size, size), np.float32))
    except Exception:  # noqa: BLE001 - whatever it is, no photo is to blame
        _log.exception("the model fails, whatever the photo", model=encoder.spec.name)
        raise UnavailableError(
            f"model {encoder.spec.name!r} fails at every photo here ({type(error).__name__});"
            " another replica may do better"
        ) from error


def _warm_up(encoder: Encoder, workers: ThreadPoolExecutor) -> None:
    """Run blank batches: the first choose kernels and allocate, and no caller should wait for it.

    Raises ConfigurationError where the vectors are not of the shape that the spec says.
    """
    spec, plan = encoder.spec, encoder.plan
    for count in {1, plan.batch}:
        blank = np.zeros((count, 3, spec.input_size, spec.input_size), np.float32)
        for rows in list(workers.map(encoder.embed, [blank] * plan.workers)):
            if rows.shape != (count, spec.dimension):
                raise ConfigurationError(
                    f"{spec.name!r} made vectors of shape {rows.shape}, not of"
                    f" {spec.dimension} dimensions"
                )
