"""The inference stage: the threads that run batches of photos through one encoder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog

from encoder_service.decoding import DecodedPhoto, PhotoDecoder, UndecodedPhoto
from encoder_service.metrics import ModelMetrics
from encoder_service.models.base import Encoder
from landmarks.errors import ConfigurationError, LandmarksError, UnavailableError

_log = structlog.get_logger(__name__)

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo's vector, (dimension,) float32, and how long the network ran, for the whole batch."""

    decoded: DecodedPhoto
    vector: Vector
    inference_seconds: float


class InferenceWorkers:
    """As many threads as the encoder's plan has workers, each running one batch at a time.

    A worker decodes the photos of its batch that are not decoded yet: with one core per worker,
    separate decoding threads would only compete for those cores.
    """

    def __init__(self, encoder: Encoder, decoder: PhotoDecoder, metrics: ModelMetrics) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(
            encoder.plan.workers, thread_name_prefix=f"inference-{encoder.spec.name}"
        )

    def warm_up(self) -> None:
        """Run blank batches; blocks. The first ones choose kernels and allocate memory.

        Raises ConfigurationError where the vectors are not of the shape that the spec says.
        """
        spec, plan = self._encoder.spec, self._encoder.plan
        for count in {1, plan.batch}:
            blank = np.zeros((count, 3, spec.input_size, spec.input_size), np.float32)
            for rows in list(self._threads.map(self._encoder.embed, [blank] * plan.workers)):
                if rows.shape != (count, spec.dimension):
                    raise ConfigurationError(
                        f"{spec.name!r} made vectors of shape {rows.shape}, not of"
                        f" {spec.dimension} dimensions"
                    )

    async def run(
        self, photos: Sequence[UndecodedPhoto | DecodedPhoto]
    ) -> Sequence[EmbeddedPhoto | LandmarksError]:
        """Run one batch; a photo that cannot be decoded is an error of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._embed, photos)

    def close(self) -> None:
        """Drop what waits, and end the threads once they are idle."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _embed(
        self, photos: Sequence[UndecodedPhoto | DecodedPhoto]
    ) -> list[EmbeddedPhoto | LandmarksError]:
        decoded = [self._decoded(photo) for photo in photos]
        pixels = [one.pixels for one in decoded if isinstance(one, DecodedPhoto)]
        if not pixels:
            return [one for one in decoded if isinstance(one, LandmarksError)]
        started = time.monotonic()
        try:
            with self._metrics.batch(len(pixels)):
                vectors = iter(self._encoder.embed(np.stack(pixels)))
        except Exception as error:
            if len(pixels) == 1:  # larger batches are run again photo by photo
                _raise_if_broken(self._encoder, error)
            raise
        seconds = time.monotonic() - started
        return [
            EmbeddedPhoto(one, next(vectors), seconds) if isinstance(one, DecodedPhoto) else one
            for one in decoded
        ]

    def _decoded(self, photo: UndecodedPhoto | DecodedPhoto) -> DecodedPhoto | LandmarksError:
        if isinstance(photo, DecodedPhoto):
            return photo
        try:
            return self._decoder.decode(photo)
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
