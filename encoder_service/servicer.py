"""EncoderService over the models of this process. A thin adapter: the work is elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
import structlog

from encoder_service.batcher import Admission, Outcome
from encoder_service.model_host import Decoded, Embedded, ModelHost, PhotoSource, Vector
from encoder_service.models.base import Encoder
from encoder_service.settings import EncoderSettings
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceServicer
from landmarks.errors import (
    InvalidInputError,
    InvalidPhotoError,
    LandmarksError,
    LineageError,
    NotFoundError,
)
from landmarks.observability.metrics import failed
from landmarks.photos.box import Box
from landmarks.photos.decode import (
    Photo,
    PhotoLimits,
    declared_pixels,
    decode,
    pixels_declared_early,
)
from landmarks.rpc.status import duration, status_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Encoded:
    """What became of one photo: a vector, or an error. `decoded`: where it came that far."""

    outcome: Outcome[Embedded] | Exception
    decoded: Decoded | None


class EncoderServicer(EncoderServiceServicer):
    """Serves `hosts`. Create it while the event loop runs; `close` it afterwards."""

    def __init__(self, hosts: Sequence[ModelHost], settings: EncoderSettings) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._settings = settings
        self._limits = PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels)
        # Headers that take longer have a thread of their own, so that a full queue is told of at
        # once.
        self._headers = ThreadPoolExecutor(1, thread_name_prefix="headers")
        self._decoder_count = settings.decoders  # looked up once: it asks the system for its cores
        # A single photo is not decoded behind the photos of large requests.
        self._decoders, self._bulk_decoders = (
            ThreadPoolExecutor(self._decoder_count, thread_name_prefix=name)
            for name in ("decode", "decode-bulk")
        )

    def close(self) -> None:
        """Let the decoding threads end."""
        for threads in (self._headers, self._decoders, self._bulk_decoders):
            threads.shutdown(wait=False, cancel_futures=True)

    async def Encode(  # noqa: N802 - gRPC's name
        self,
        request: pb.EncodeRequest,
        context: grpc.aio.ServicerContext[pb.EncodeRequest, pb.EncodeResponse],
    ) -> pb.EncodeResponse:
        """Encode one photo."""
        host, encoder = self._chosen(request.model, request.expected_digest)
        box = Box.of(request.box)
        [encoded] = await self._encode(
            host, encoder, [request.photo], [box], context.time_remaining()
        )
        if isinstance(encoded.outcome, Exception):
            raise encoded.outcome
        return pb.EncodeResponse(
            embedding=_embedding(encoded.outcome.result),
            model=encoder.spec.name,
            digest=encoder.spec.digest,
            photo=encoded.decoded.info if encoded.decoded else None,
            timings=_timings([encoded]),
        )

    async def BatchEncode(  # noqa: N802
        self,
        request: pb.BatchEncodeRequest,
        context: grpc.aio.ServicerContext[pb.BatchEncodeRequest, pb.BatchEncodeResponse],
    ) -> pb.BatchEncodeResponse:
        """Encode several photos; each has a vector or an error of its own."""
        host, encoder = self._chosen(request.model, request.expected_digest)
        if len(request.photos) > self._settings.max_batch_photos:
            raise InvalidInputError(
                f"the batch has {len(request.photos)} photos, and at most"
                f" {self._settings.max_batch_photos} are accepted; send several batches",
                field="photos",
            )
        if len(request.boxes) not in (0, len(request.photos)):
            raise InvalidInputError(
                f"{len(request.boxes)} boxes are given for {len(request.photos)} photos; give none,"
                " or one for each photo",
                field="boxes",
            )
        photos = list(request.photos)
        boxes = [Box.of(box) for box in request.boxes] or [None] * len(photos)
        encoded = await self._encode(host, encoder, photos, boxes, context.time_remaining())
        return pb.BatchEncodeResponse(
            results=[_result(one) for one in encoded],
            model=encoder.spec.name,
            digest=encoder.spec.digest,
            timings=_timings(encoded),
        )

    async def GetModel(  # noqa: N802
        self,
        request: pb.GetModelRequest,
        context: grpc.aio.ServicerContext[pb.GetModelRequest, pb.GetModelResponse],
    ) -> pb.GetModelResponse:
        """Describe one model."""
        del context
        return pb.GetModelResponse(model=self._described(self._host(request.model)))

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,
        context: grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse],
    ) -> pb.ListModelsResponse:
        """Describe all models."""
        del request, context
        hosts = [self._hosts[name] for name in sorted(self._hosts)]
        return pb.ListModelsResponse(models=map(self._described, hosts))

    def _host(self, name: str) -> ModelHost:
        serving = ", ".join(sorted(self._hosts))
        if not name and len(self._hosts) == 1:
            return next(iter(self._hosts.values()))
        if not name:
            raise InvalidInputError(
                f"no model is named, and this process serves several: {serving}", field="model"
            )
        if name not in self._hosts:
            raise NotFoundError(f"this process does not serve model {name!r}; it serves: {serving}")
        return self._hosts[name]

    def _chosen(self, name: str, expected_digest: str) -> tuple[ModelHost, Encoder]:
        host = self._host(name)
        encoder = host.encoder()
        if expected_digest not in ("", encoder.spec.digest):
            raise LineageError(
                f"model {host.name!r} has digest {encoder.spec.digest} here, and"
                f" {expected_digest} was expected: their vectors must not be mixed; use an encoder"
                " of the expected digest, or index again with this one"
            )
        return host, encoder

    async def _encode(
        self,
        host: ModelHost,
        encoder: Encoder,
        photos: Sequence[bytes],
        boxes: Sequence[Box | None],
        timeout_seconds: float | None,
    ) -> list[_Encoded]:
        """Return what became of each photo. Raises OverloadedError where none could be tried."""
        try:
            encoded = await self._tried(host, encoder, photos, boxes, timeout_seconds)
        except (LandmarksError, asyncio.CancelledError) as error:
            host.metrics.answered(error, len(photos))
            raise
        for one in encoded:
            host.metrics.answered(one.outcome if isinstance(one.outcome, Exception) else None)
        return encoded

    async def _tried(
        self,
        host: ModelHost,
        encoder: Encoder,
        photos: Sequence[bytes],
        boxes: Sequence[Box | None],
        timeout_seconds: float | None,
    ) -> list[_Encoded]:
        loop = asyncio.get_running_loop()
        # Of one request, no more photos than there are decoders wait in their queue, so that a
        # single photo is not stuck behind a large request here either.
        turn = asyncio.Semaphore(self._decoder_count)
        size_bytes = sum(map(len, photos))
        with host.batcher.admit(len(photos), size_bytes, timeout_seconds) as admission:
            early = pixels_declared_early(photos[0], self._limits) if admission.alone else None
            declared: Sequence[int | InvalidPhotoError] = (
                await loop.run_in_executor(self._headers, self._declared, photos)
                if early is None
                else [early]
            )
            admission.declare(sum(size for size in declared if isinstance(size, int)))
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._encode_one(admission, host, encoder, *one, turn))
                    for one in zip(photos, boxes, declared, strict=True)
                ]
        return [task.result() for task in tasks]

    def _declared(self, photos: Sequence[bytes]) -> list[int | InvalidPhotoError]:
        sizes: list[int | InvalidPhotoError] = []
        for photo in photos:
            try:
                sizes.append(declared_pixels(photo, self._limits))
            except InvalidPhotoError as error:
                sizes.append(error)
        return sizes

    async def _encode_one(
        self,
        admission: Admission[PhotoSource, Embedded | LandmarksError],
        host: ModelHost,
        encoder: Encoder,
        photo: bytes,
        box: Box | None,
        declared: int | InvalidPhotoError,
        turn: asyncio.Semaphore,
    ) -> _Encoded:
        if not isinstance(declared, int):
            return _Encoded(declared, None)
        decoded: Decoded | None = None
        source = partial(self._decode, host, encoder, photo, box)
        try:
            if self._settings.decode_threads or not encoder.plan.workers_decode:
                async with turn:
                    decoded = await asyncio.get_running_loop().run_in_executor(
                        self._decoders if admission.alone else self._bulk_decoders, source
                    )
                source = partial(_as_it_is, decoded)
            outcome = await host.metrics.queued(admission.submit(source))
            embedded = outcome.result
            if isinstance(embedded, LandmarksError):
                return _Encoded(embedded, None)
            decoded = embedded.decoded
            _check_direction(embedded.vector, encoder.spec.name)
        except LandmarksError as error:
            return _Encoded(error, decoded)
        except Exception as error:  # noqa: BLE001 - see below
            # One photo's trouble is not that of the others; its caller learns nothing internal.
            _log.exception("encoding a photo failed", model=encoder.spec.name)
            return _Encoded(error, decoded)
        return _Encoded(Outcome(embedded, outcome.queue_seconds, outcome.batch), decoded)

    def _decode(self, host: ModelHost, encoder: Encoder, data: bytes, box: Box | None) -> Decoded:
        started = time.monotonic()
        photo = decode(data, self._limits, encoder.spec.decode_size, box)
        pixels = encoder.preprocess(photo.image)
        seconds = time.monotonic() - started
        host.metrics.decoded(seconds)
        return Decoded(pixels, _info(photo), seconds)

    def _described(self, host: ModelHost) -> pb.Model:
        settings = self._settings
        model = pb.Model(
            name=host.name,
            limits=pb.InputLimits(
                max_photo_bytes=settings.max_photo_bytes,
                max_photo_pixels=settings.max_photo_pixels,
                max_batch_photos=settings.max_batch_photos,
                max_request_bytes=settings.max_request_bytes,
            ),
            ready=host.ready,
            failure=host.failure,
        )
        if host.loaded is not None:
            spec = host.loaded.spec
            model.description = spec.description
            model.layer = spec.layer
            model.dimension = spec.dimension
            model.digest = spec.digest
            model.input_size = spec.input_size
            model.runtime = str(host.loaded.plan)
        return model


def _check_direction(vector: Vector, model: str) -> None:
    if not (np.isfinite(vector).all() and vector.any()):
        raise InvalidPhotoError(
            f"model {model!r} finds nothing in this photo: its vector has no direction; is it"
            " blank?"
        )


def _as_it_is(decoded: Decoded) -> Decoded:
    return decoded


def _embedding(embedded: Embedded) -> pb.Embedding:
    # Of an array itself, each number would be made an object of NumPy's first: five times slower.
    return pb.Embedding(values=embedded.vector.tolist())


def _result(encoded: _Encoded) -> pb.BatchEncodeResult:
    result = pb.BatchEncodeResult(photo=encoded.decoded.info if encoded.decoded else None)
    if isinstance(encoded.outcome, Exception):
        failed(encoded.outcome)
        result.error.CopyFrom(status_of(encoded.outcome))
    else:
        result.embedding.CopyFrom(_embedding(encoded.outcome.result))
    return result


def _timings(encoded: Sequence[_Encoded]) -> pb.EncodeTimings:
    outcomes = [one.outcome for one in encoded if isinstance(one.outcome, Outcome)]
    batches = {outcome.batch: outcome.result.inference_seconds for outcome in outcomes}
    return pb.EncodeTimings(
        decode=duration(sum(one.decoded.seconds for one in encoded if one.decoded)),
        queue=duration(max((outcome.queue_seconds for outcome in outcomes), default=0.0)),
        inference=duration(sum(batches.values())),
    )


def _info(photo: Photo) -> pb.PhotoInfo:
    return pb.PhotoInfo(width=photo.width, height=photo.height, format=photo.format)
