"""One model of this process: loading it, and its pipeline once it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor

import structlog

from encoder_service.decoding import DecodeThreads
from encoder_service.loader import load_encoder
from encoder_service.metrics import ModelMetrics
from encoder_service.models.base import Encoder
from encoder_service.pipeline import Pipeline
from encoder_service.settings import EncoderSettings
from encoder_service.weights import DownloadProgress
from landmarks.errors import ConfigurationError, LandmarksError, UnavailableError

_log = structlog.get_logger(__name__)

LoadEncoder = Callable[[str, EncoderSettings, DownloadProgress], Encoder]

# A download that failed may succeed when the network is back.
_RETRY_LOADING_SECONDS = 30.0


class ModelHost:
    """A model that this process serves. Create it while the event loop runs."""

    def __init__(
        self,
        name: str,
        settings: EncoderSettings,
        decode_threads: DecodeThreads,
        load: LoadEncoder = load_encoder,
    ) -> None:
        self.name = name
        self.failure = ""
        self._settings = settings
        self._decode_threads = decode_threads
        self._load = load
        self._loader = ThreadPoolExecutor(1, thread_name_prefix=f"load-{name}")
        self._closing = False
        self._pipeline: Pipeline | None = None
        self._metrics = ModelMetrics(
            name,
            lambda: self._pipeline.batcher.queued_photos if self._pipeline else 0,
            lambda: self.ready,
        )

    @property
    def ready(self) -> bool:
        """True once the model is loaded and warm."""
        return self._pipeline is not None

    @property
    def loaded(self) -> Pipeline | None:
        """The model's pipeline, if it is ready."""
        return self._pipeline

    def pipeline(self) -> Pipeline:
        """Return the model's pipeline.

        Raises UnavailableError while the model loads, and where it could not be loaded: another
        replica, or this one once it is repaired, may serve it.
        """
        if self._pipeline is not None:
            return self._pipeline
        if self.failure:
            raise UnavailableError(f"model {self.name!r} could not be loaded: {self.failure}")
        raise UnavailableError(f"model {self.name!r} is still loading; try again in a moment")

    async def load(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Load the model and warm it up; afterwards it is ready, or `failure` says why not.

        Where its weights are unavailable now, loading is retried. `changed` is awaited whenever
        `ready` or `failure` has changed.
        """
        while True:
            try:
                pipeline = await self._warm_pipeline()
            except UnavailableError as error:
                self.failure = str(error)
                _log.warning("model not loaded; retrying", model=self.name, reason=str(error))
                await changed()
                await asyncio.sleep(_RETRY_LOADING_SECONDS)
            except LandmarksError as error:
                self.failure = str(error)
                _log.error("model not loaded", model=self.name, reason=str(error))
                break
            except Exception as error:  # noqa: BLE001 - torch and damaged files raise anything
                self.failure = f"{type(error).__name__}: {error}"
                _log.exception("model not loaded", model=self.name)
                break
            else:
                self.failure = ""
                self._pipeline = pipeline
                _log.info(
                    "model ready",
                    model=self.name,
                    digest=pipeline.spec.digest,
                    plan=str(pipeline.plan),
                )
                break
        await changed()

    async def close(self) -> None:
        """Close the pipeline, cancel a download, and end the loading thread."""
        self._closing = True
        if self._pipeline:
            await self._pipeline.close()
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._metrics.close()

    async def _warm_pipeline(self) -> Pipeline:
        loop = asyncio.get_running_loop()
        encoder = await loop.run_in_executor(self._loader, self._loaded_encoder)
        pipeline = Pipeline(encoder, self._settings, self._decode_threads, self._metrics)
        try:
            await loop.run_in_executor(self._loader, pipeline.warm_up)
        except BaseException:
            await pipeline.close()
            raise
        return pipeline

    def _loaded_encoder(self) -> Encoder:
        encoder = self._load(self.name, self._settings, self._download_progress())
        if encoder.spec.name != self.name:
            raise ConfigurationError(
                f"loading {self.name!r} returned the encoder {encoder.spec.name!r}"
            )
        return encoder

    def _download_progress(self) -> DownloadProgress:
        """Return a callback that logs each tenth of a download, and cancels it once this closes.

        Otherwise the process, which waits for its threads, would outlive its grace period until the
        download ends.
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
