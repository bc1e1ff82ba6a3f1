"""EncoderService over gRPC: checks requests, calls a model's pipeline, builds responses."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from encoder_service.batcher import BatchedResult
from encoder_service.decoding import DecodedPhoto, UndecodedPhoto
from encoder_service.inference import EmbeddedPhoto
from encoder_service.model_host import ModelHost
from encoder_service.models.base import Revision
from encoder_service.pipeline import PhotoResult, Pipeline
from encoder_service.settings import EncoderSettings
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceServicer
from landmarks.errors import InvalidInputError, LineageError, NotFoundError
from landmarks.observability.metrics import failed
from landmarks.photos.box import Box
from landmarks.rpc.status import duration, status_of


class EncoderServicer(EncoderServiceServicer):
    """Serves the models of `hosts`."""

    def __init__(self, hosts: Sequence[ModelHost], settings: EncoderSettings) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._settings = settings

    async def Encode(  # noqa: N802 - gRPC's name
        self,
        request: pb.EncodeRequest,
        context: grpc.aio.ServicerContext[pb.EncodeRequest, pb.EncodeResponse],
    ) -> pb.EncodeResponse:
        """Encode one photo."""
        pipeline, revision = self._requested(request.model, request.expected_digest)
        photo = UndecodedPhoto(request.photo, Box.of(request.box), revision.decoding)
        [result] = await pipeline.encode([photo], context.time_remaining())
        if isinstance(result.outcome, Exception):
            raise result.outcome
        return pb.EncodeResponse(
            embedding=_embedding(result.outcome.result),
            model=pipeline.spec.name,
            digest=revision.digest,
            photo=_photo_info(result.decoded),
            timings=_timings([result]),
        )

    async def BatchEncode(  # noqa: N802
        self,
        request: pb.BatchEncodeRequest,
        context: grpc.aio.ServicerContext[pb.BatchEncodeRequest, pb.BatchEncodeResponse],
    ) -> pb.BatchEncodeResponse:
        """Encode several photos; each gets a vector or an error of its own."""
        pipeline, revision = self._requested(request.model, request.expected_digest)
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
        boxes = [Box.of(box) for box in request.boxes] or [None] * len(request.photos)
        photos = [
            UndecodedPhoto(*one, revision.decoding)
            for one in zip(request.photos, boxes, strict=True)
        ]
        results = await pipeline.encode(photos, context.time_remaining())
        return pb.BatchEncodeResponse(
            results=map(_batch_result, results),
            model=pipeline.spec.name,
            digest=revision.digest,
            timings=_timings(results),
        )

    async def GetModel(  # noqa: N802
        self,
        request: pb.GetModelRequest,
        context: grpc.aio.ServicerContext[pb.GetModelRequest, pb.GetModelResponse],
    ) -> pb.GetModelResponse:
        """Describe one model."""
        del context
        newest, *earlier = self._described(self._host(request.model))
        return pb.GetModelResponse(model=newest, earlier=earlier)

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,
        context: grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse],
    ) -> pb.ListModelsResponse:
        """Describe all models, each with its revisions, newest first."""
        del request, context
        hosts = [self._hosts[name] for name in sorted(self._hosts)]
        return pb.ListModelsResponse(
            models=[model for host in hosts for model in self._described(host)]
        )

    def _host(self, name: str) -> ModelHost:
        serving = ", ".join(sorted(self._hosts))
        if not name and len(self._hosts) == 1:
            return next(iter(self._hosts.values()))
        if not name:
            raise InvalidInputError(
                f"the request names no model, and this process serves several: {serving}; name one",
                field="model",
            )
        if name not in self._hosts:
            raise NotFoundError(f"this process does not serve model {name!r}; it serves: {serving}")
        return self._hosts[name]

    def _requested(self, name: str, expected_digest: str) -> tuple[Pipeline, Revision]:
        pipeline = self._host(name).pipeline()
        for revision in pipeline.spec.revisions:
            if expected_digest in ("", revision.digest):
                return pipeline, revision
        have = " and ".join(one.digest for one in pipeline.spec.revisions)
        raise LineageError(
            f"model {pipeline.spec.name!r} has digest {have} here, and {expected_digest} was"
            " expected: their vectors must not be mixed; use an encoder of the expected digest, or"
            " index the photos again with this one"
        )

    def _described(self, host: ModelHost) -> list[pb.Model]:
        """Return a message for each revision of a model, newest first; one while it loads."""
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
        if host.loaded is None:
            return [model]
        spec = host.loaded.spec
        model.description = spec.description
        model.layer = spec.layer
        model.dimension = spec.dimension
        model.input_size = spec.input_size
        model.runtime = str(host.loaded.plan)
        described: list[pb.Model] = []
        for revision in spec.revisions:
            one = pb.Model(digest=revision.digest)
            one.MergeFrom(model)
            if described:
                one.superseded_by = spec.digest
            described.append(one)
        return described


def _embedding(embedded: EmbeddedPhoto) -> pb.Embedding:
    # As a list: protobuf takes five times as long over the elements of a NumPy array.
    return pb.Embedding(values=embedded.vector.tolist())


def _batch_result(result: PhotoResult) -> pb.BatchEncodeResult:
    answer = pb.BatchEncodeResult(photo=_photo_info(result.decoded))
    if isinstance(result.outcome, Exception):
        failed(result.outcome)
        answer.error.CopyFrom(status_of(result.outcome))
    else:
        answer.embedding.CopyFrom(_embedding(result.outcome.result))
    return answer


def _timings(results: Sequence[PhotoResult]) -> pb.EncodeTimings:
    outcomes = [one.outcome for one in results if isinstance(one.outcome, BatchedResult)]
    batches = {outcome.batch: outcome.result.inference_seconds for outcome in outcomes}
    return pb.EncodeTimings(
        decode=duration(sum(one.decoded.seconds for one in results if one.decoded)),
        queue=duration(max((outcome.queue_seconds for outcome in outcomes), default=0.0)),
        inference=duration(sum(batches.values())),
    )


def _photo_info(decoded: DecodedPhoto | None) -> pb.PhotoInfo | None:
    if decoded is None:
        return None
    return pb.PhotoInfo(width=decoded.width, height=decoded.height, format=decoded.format)
