"""A small but honest encoder: what it says of a photo depends on the photo's colours alone.

It serves two models of different dimensions over gRPC, in the test's own event loop, and can be
made slow, taken down, brought back, or given another digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import (
    EncoderServiceServicer,
    add_EncoderServiceServicer_to_server,
)
from landmarks.errors import InvalidPhotoError, LineageError, NotFoundError, OverloadedError
from landmarks.photos.box import Box
from landmarks.rpc.server import bind, create_server
from landmarks.rpc.status import status_of

Vector = NDArray[np.float32]


def histogram(photo: Image.Image) -> Vector:
    """How much of the photo has each of 4 × 4 × 4 colours."""
    levels = np.asarray(photo.resize((32, 32))).reshape(-1, 3).astype(np.int64) // 64
    return np.bincount(levels @ np.array([16, 4, 1]), minlength=64).astype(np.float32)


def thumbnail(photo: Image.Image) -> Vector:
    """The colours of 4 × 4 areas."""
    return np.asarray(photo.resize((4, 4)), dtype=np.float32).reshape(-1) + 1


MODELS: dict[str, tuple[int, Callable[[Image.Image], Vector]]] = {
    "histogram": (64, histogram),
    "thumbnail": (48, thumbnail),
}


def digest_of(model: str, revision: int = 1) -> str:
    """Return what stands for a model's weights."""
    return hashlib.sha256(f"{model} {revision}".encode()).hexdigest()


def encode(model: str, photo: bytes, box: Box | None = None) -> Vector:
    """Return the vector of a photo, or of a part of it, of unit length."""
    try:
        image = Image.open(io.BytesIO(photo)).convert("RGB")
    except UnidentifiedImageError as error:
        raise InvalidPhotoError("the bytes are not a photo that can be read") from error
    if box is not None:
        image = image.crop(box.pixels(*image.size))
    vector = MODELS[model][1](image)
    return vector / np.linalg.norm(vector)


class ColourEncoder(EncoderServiceServicer):
    """Serves some of `MODELS` on a port of its own: `async with ColourEncoder() as encoder`."""

    def __init__(self, *models: str, revision: int = 1) -> None:
        self.models = models or tuple(MODELS)
        self.revision = revision
        self.port = 0
        self.encoded = 0
        self.batches = 0
        self.go = asyncio.Event()  # cleared, it never answers
        self.go.set()
        self.asked = asyncio.Event()
        self.full = False
        self.refused = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Serve, on the same port as before."""
        self._server = create_server()
        add_EncoderServiceServicer_to_server(self, self._server)
        self.port = bind(self._server, f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Be gone."""
        if self._server is not None:
            await self._server.stop(None)
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.go.set()
        await self.stop()

    async def Encode(  # noqa: N802 - gRPC's own names
        self, request: pb.EncodeRequest, context: Any
    ) -> pb.EncodeResponse:
        digest = await self._admit(request.model, request.expected_digest)
        vector = encode(request.model, request.photo, Box.of(request.box))
        self.encoded += 1
        return pb.EncodeResponse(
            embedding=pb.Embedding(values=vector.tolist()), model=request.model, digest=digest
        )

    async def BatchEncode(  # noqa: N802
        self, request: pb.BatchEncodeRequest, context: Any
    ) -> pb.BatchEncodeResponse:
        digest = await self._admit(request.model, request.expected_digest)
        self.batches += 1
        answer = pb.BatchEncodeResponse(model=request.model, digest=digest)
        for photo, box in zip(request.photos, request.boxes, strict=True):
            try:
                vector = encode(request.model, photo, Box.of(box))
            except InvalidPhotoError as error:
                answer.results.add(error=status_of(error))
            else:
                answer.results.add(embedding=pb.Embedding(values=vector.tolist()))
        self.encoded += len(request.photos)
        return answer

    async def GetModel(  # noqa: N802
        self, request: pb.GetModelRequest, context: Any
    ) -> pb.GetModelResponse:
        self._check(request.model)
        return pb.GetModelResponse(
            model=pb.Model(
                name=request.model,
                description="Counts colours.",
                layer="none",
                dimension=MODELS[request.model][0],
                digest=digest_of(request.model, self.revision),
                runtime="numpy",
                ready=True,
            )
        )

    async def _admit(self, model: str, expected_digest: str) -> str:
        """Return the model's digest, when it is this call's turn."""
        self._check(model)
        digest = digest_of(model, self.revision)
        if expected_digest not in ("", digest):
            raise LineageError(f"{model} has digest {digest[:8]}")
        if self.full:
            self.refused.set()
            raise OverloadedError("the queue is full", retry_after=3)
        self.asked.set()
        await self.go.wait()
        return digest

    def _check(self, model: str) -> None:
        if model not in self.models:
            raise NotFoundError(f"this encoder does not serve {model!r}")
