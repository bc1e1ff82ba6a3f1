"""The decoding stage: the bytes of a photo to the pixels that the network takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from encoder_service.metrics import ModelMetrics
from encoder_service.models.base import Encoder, FloatArray
from landmarks.errors import InvalidPhotoError
from landmarks.photos.box import Box
from landmarks.photos.decode import declared_pixels, decode, pixels_declared_early
from landmarks.photos.decoding_rules import NEWEST, DecodingRules
from landmarks.photos.limits import PhotoLimits


@dataclass(frozen=True)
class UndecodedPhoto:
    """The bytes of a photo's file, and the part of the photo to encode; None: all of it.

    `rules` are those of the revision that is requested: photos of several share batches.
    """

    data: bytes
    box: Box | None = None
    rules: DecodingRules = NEWEST


@dataclass(frozen=True)
class DecodedPhoto:
    """A photo as the network takes it, (3, H, W) float32, and how long decoding it took.

    `width`, `height` and `format` are those of the file, upright.
    """

    pixels: FloatArray
    width: int
    height: int
    format: str
    seconds: float


class PhotoDecoder:
    """Decodes and preprocesses photos for one model, on the thread that calls it."""

    def __init__(self, encoder: Encoder, limits: PhotoLimits, metrics: ModelMetrics) -> None:
        self._encoder = encoder
        self._limits = limits
        self._metrics = metrics

    def decode(self, photo: UndecodedPhoto) -> DecodedPhoto:
        """Return the photo, decoded and preprocessed.

        Raises InvalidPhotoError where the bytes are no photo, damaged, or over a limit.
        """
        started = time.monotonic()
        size = self._encoder.spec.decode_size
        decoded = decode(photo.data, self._limits, size, photo.box, photo.rules)
        pixels = self._encoder.preprocess(decoded.image)
        seconds = time.monotonic() - started
        self._metrics.decoded(seconds)
        return DecodedPhoto(pixels, decoded.width, decoded.height, decoded.format, seconds)


class DecodeThreads:
    """The threads of this process that read headers and decode photos, shared by its models."""

    def __init__(self, count: int) -> None:
        self.count = count
        # Headers that take longer have a thread of their own, so that a full queue refuses at once.
        self._headers = ThreadPoolExecutor(1, thread_name_prefix="headers")
        # A single photo is not decoded behind the photos of large requests.
        self._singles, self._bulk = (
            ThreadPoolExecutor(count, thread_name_prefix=name) for name in ("decode", "decode-bulk")
        )

    async def declared_pixels(
        self, photos: Sequence[UndecodedPhoto], limits: PhotoLimits
    ) -> Sequence[int | InvalidPhotoError]:
        """Return how many pixels the header of each photo declares, or why it is no photo."""
        if len(photos) == 1:
            early = pixels_declared_early(photos[0].data, limits)
            if early is not None:
                return [early]
        run = asyncio.get_running_loop().run_in_executor
        # One at a time: other requests have their turn in between, and the rest of a request whose
        # caller has left is not read.
        return [await run(self._headers, _declared_pixels, photo, limits) for photo in photos]

    async def decode(
        self, decoder: PhotoDecoder, photo: UndecodedPhoto, *, single: bool
    ) -> DecodedPhoto:
        """Run `decoder` on a thread; raises as `PhotoDecoder.decode`.

        `single`: the photo is the only one of its request.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._singles if single else self._bulk, decoder.decode, photo
        )

    def close(self) -> None:
        """Drop what waits, and end the threads once they are idle."""
        for threads in (self._headers, self._singles, self._bulk):
            threads.shutdown(wait=False, cancel_futures=True)


def _declared_pixels(photo: UndecodedPhoto, limits: PhotoLimits) -> int | InvalidPhotoError:
    try:
        return declared_pixels(photo.data, limits)
    except InvalidPhotoError as error:
        return error
