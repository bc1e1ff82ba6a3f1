"""The path of photos through one model: admission, decoding, the queue, inference.

The servicer calls `Pipeline.encode`. Control goes down from there: the pipeline hands photos to the
batcher, which runs them on the inference workers that it was created with. What travels between the
stages is values (`UndecodedPhoto`, `DecodedPhoto`, `EmbeddedPhoto`), never a function to call back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from encoder_service.batcher import Admission, BatchedResult, Batcher, QueueLimits
from encoder_service.decoding import DecodedPhoto, DecodeThreads, PhotoDecoder, UndecodedPhoto
from encoder_service.execution_plan import ExecutionPlan
from encoder_service.inference import EmbeddedPhoto, InferenceWorkers, Vector
from encoder_service.metrics import ModelMetrics
from encoder_service.models.base import Encoder, EncoderSpec
from encoder_service.settings import EncoderSettings
from landmarks.errors import InvalidPhotoError, LandmarksError
from landmarks.photos.limits import PhotoLimits

_log = structlog.get_logger(__name__)

# How long a photo on its way to a GPU waits for others.
_GPU_DELAY_SECONDS = 0.004


@dataclass(frozen=True)
class PhotoResult:
    """A photo's vector or its error; `decoded` is None where the photo was not decoded."""

    outcome: BatchedResult[EmbeddedPhoto] | Exception
    decoded: DecodedPhoto | None


class Pipeline:
    """Encodes photos with one loaded encoder. Create it while the event loop runs."""

    def __init__(
        self,
        encoder: Encoder,
        settings: EncoderSettings,
        decode_threads: DecodeThreads,
        metrics: ModelMetrics,
    ) -> None:
        self.spec: EncoderSpec = encoder.spec
        self.plan: ExecutionPlan = encoder.plan
        self._metrics = metrics
        self._photo_limits = PhotoLimits(
            settings.max_photo_bytes,
            settings.max_photo_pixels,
            max_decoding_bytes=settings.max_decoding_bytes,
        )
        self._decoder = PhotoDecoder(encoder, self._photo_limits, metrics)
        self._decode_threads = decode_threads
        # Else the workers decode their own photos.
        self._threads_decode = bool(settings.decode_threads) or not encoder.plan.workers_decode
        self._workers = InferenceWorkers(encoder, self._decoder, metrics)
        self.batcher: Batcher[UndecodedPhoto | DecodedPhoto, EmbeddedPhoto | LandmarksError] = (
            Batcher(self._workers.run, _limits(encoder.plan, settings))
        )

    def warm_up(self) -> None:
        """Run blank batches, so that no caller waits for what only the first ones do; blocks.

        Raises ConfigurationError where the vectors are not of the shape that the spec says.
        """
        self._workers.warm_up()

    async def encode(
        self, photos: Sequence[UndecodedPhoto], timeout_seconds: float | None
    ) -> list[PhotoResult]:
        """Return what became of each photo, in order. A bad photo does not stop the others.

        Raises OverloadedError, at once, where the queue is full; UnavailableError when closed.
        """
        try:
            results = await self._encode_all(photos, timeout_seconds)
        except (LandmarksError, asyncio.CancelledError) as error:
            self._metrics.answered(error, len(photos))
            raise
        for result in results:
            self._metrics.answered(
                result.outcome if isinstance(result.outcome, Exception) else None
            )
        return results

    async def close(self) -> None:
        """Refuse what waits and what comes; wait for the batches that run, and end the threads."""
        await self.batcher.close()
        self._workers.close()

    async def _encode_all(
        self, photos: Sequence[UndecodedPhoto], timeout_seconds: float | None
    ) -> list[PhotoResult]:
        # Of one request, no more photos than there are decoders wait in their queue, so that a
        # single photo is not stuck behind a large request there either.
        turn = asyncio.Semaphore(self._decode_threads.count)
        size_bytes = sum(len(photo.data) for photo in photos)
        with self.batcher.admit(len(photos), size_bytes, timeout_seconds) as admission:
            declared = await self._decode_threads.declared_pixels(photos, self._photo_limits)
            admission.declare(sum(size for size in declared if isinstance(size, int)))
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._encode_one(admission, *one, turn))
                    for one in zip(photos, declared, strict=True)
                ]
        return [task.result() for task in tasks]

    async def _encode_one(
        self,
        admission: Admission[UndecodedPhoto | DecodedPhoto, EmbeddedPhoto | LandmarksError],
        photo: UndecodedPhoto,
        declared: int | InvalidPhotoError,
        turn: asyncio.Semaphore,
    ) -> PhotoResult:
        if not isinstance(declared, int):
            return PhotoResult(declared, None)
        decoded: DecodedPhoto | None = None
        try:
            if self._threads_decode:
                async with turn:
                    decoded = await self._decode_threads.decode(
                        self._decoder, photo, single=admission.alone
                    )
            outcome = await self._metrics.queued(
                admission.submit(photo if decoded is None else decoded)
            )
            embedded = outcome.result
            if isinstance(embedded, LandmarksError):
                return PhotoResult(embedded, None)
            decoded = embedded.decoded
            _check_direction(embedded.vector, self.spec.name)
        except LandmarksError as error:
            return PhotoResult(error, decoded)
        except Exception as error:  # noqa: BLE001 - see below
            # One photo's trouble is not that of the others; its caller learns nothing internal.
            _log.exception("encoding a photo failed", model=self.spec.name)
            return PhotoResult(error, decoded)
        return PhotoResult(BatchedResult(embedded, outcome.queue_seconds, outcome.batch), decoded)


def _limits(plan: ExecutionPlan, settings: EncoderSettings) -> QueueLimits:
    delay = settings.batch_delay_seconds
    if delay is None:
        delay = 0.0 if plan.device == "cpu" else _GPU_DELAY_SECONDS
    return QueueLimits(
        plan.batch,
        delay,
        settings.max_queued_photos,
        settings.max_queued_bytes,
        settings.max_queued_pixels,
        plan.workers,
    )


def _check_direction(vector: Vector, model: str) -> None:
    if not (np.isfinite(vector).all() and vector.any()):
        raise InvalidPhotoError(
            f"model {model!r} finds nothing in this photo: its vector has no direction; is it"
            " blank?"
        )
