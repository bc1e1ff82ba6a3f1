"""The encoders for an event loop; `landmarks.encoders.directory` is the same for threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.encoders.directory import ServedModel, choose_target, served_revisions
from landmarks.encoders.limits import request_limits
from landmarks.errors import (
    DeadlineError,
    LandmarksError,
    LineageError,
    NotFoundError,
    UnavailableError,
)
from landmarks.photos.box import Box
from landmarks.rpc.channel_pool import AsyncChannels
from landmarks.rpc.status import error_from_rpc, error_from_status
from landmarks.security.tls import NO_TLS, Tls

Answer = TypeVar("Answer")

_DESCRIBE_TIMEOUT_SECONDS = 5.0
_REMEMBER_SECONDS = 30.0


@dataclass(frozen=True)
class PhotoVector:
    """A photo's vector, (dimension,) float32 of unit length, and the digest that made it."""

    vector: NDArray[np.float32]
    digest: str


class AsyncEncoderDirectory:
    """The encoders for one event loop: one shared channel per target.

    Which target serves which digest is cached for half a minute, and looked up again at once if the
    target turns out to be gone or replaced.
    """

    def __init__(self, targets: Mapping[str, Sequence[str]], tls: Tls = NO_TLS) -> None:
        self._targets = {model: tuple(addresses) for model, addresses in targets.items()}
        self._channels = AsyncChannels(tls)
        self._remembered: dict[tuple[str, str | None], tuple[float, ServedModel]] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models that have a target."""
        return tuple(self._targets)

    @property
    def targets(self) -> tuple[tuple[str, str], ...]:
        """Every model with each of its targets."""
        return tuple((model, target) for model, some in self._targets.items() for target in some)

    def channel(self, target: str) -> grpc.aio.Channel:
        """Return the shared channel to `target`."""
        return self._channels.get(target)

    async def describe(
        self,
        model: str,
        target: str,
        timeout: float = _DESCRIBE_TIMEOUT_SECONDS,  # noqa: ASYNC109 - it is the call's deadline
    ) -> pb.GetModelResponse:
        """Return how `target` describes `model` now; raises its error, or UnavailableError."""
        try:
            return await EncoderServiceStub(self.channel(target)).GetModel(
                pb.GetModelRequest(model=model), timeout=timeout
            )
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, f"encoder {target}") from error

    async def find(
        self,
        model: str,
        digest: str | None = None,
        *,
        timeout: float = _DESCRIBE_TIMEOUT_SECONDS,  # noqa: ASYNC109 - it is the call's deadline
    ) -> ServedModel:
        """Return the target that serves `model`, with `digest` if one is given.

        Raises NotFoundError for a model without a target, and what
        `landmarks.encoders.directory.choose_target` raises.
        """
        targets = self._targets.get(model)
        if not targets:
            known = ", ".join(sorted(self._targets)) or "none"
            raise NotFoundError(f"no encoder is set up for model {model!r}; there are: {known}")
        remembered = self._remembered.get((model, digest))
        if remembered is not None and time.monotonic() - remembered[0] < _REMEMBER_SECONDS:
            return remembered[1]
        answers = await asyncio.gather(
            *(self._describe(model, target, timeout) for target in targets)
        )
        served = [one for answer in answers if isinstance(answer, list) for one in answer]
        failures = [str(answer) for answer in answers if isinstance(answer, LandmarksError)]
        found = choose_target(model, digest, served, failures)
        self._remembered[model, digest] = (time.monotonic(), found)
        return found

    async def encode(
        self,
        model: str,
        photo: bytes,
        digest: str | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - it is the call's deadline
        box: Box | None = None,
    ) -> PhotoVector:
        """Return the vector of `photo`, or of its part in `box`, by `model` with `digest`.

        It takes `timeout` seconds at most. If the cached target is gone, or has another digest by
        now, it is looked up again, once.

        Raises InvalidPhotoError, OverloadedError, DeadlineError, or what `find` raises.
        """
        deadline = time.monotonic() + timeout
        return await self._again(
            model, digest, lambda: self._one(model, photo, box, digest, deadline)
        )

    async def encode_many(
        self,
        model: str,
        photos: Sequence[tuple[bytes, Box | None]],
        digest: str | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - it is the call's deadline
    ) -> list[PhotoVector | LandmarksError]:
        """Return the vector of each photo, or part of one, or why there is none.

        They are sent in as few requests as the encoder's limits allow. Raises as `encode` if none
        could be tried.
        """
        deadline = time.monotonic() + timeout
        return await self._again(model, digest, lambda: self._many(model, photos, digest, deadline))

    async def close(self) -> None:
        """Close every channel."""
        await self._channels.close()

    async def _again(
        self, model: str, digest: str | None, work: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Do `work`, and once more if the cached target is no longer the right one."""
        remembered = (model, digest) in self._remembered
        try:
            return await work()
        except (UnavailableError, LineageError, NotFoundError):
            self._remembered.pop((model, digest), None)
            if not remembered:
                raise
        return await work()

    async def _found(self, model: str, digest: str | None, deadline: float) -> ServedModel:
        seconds = min(_DESCRIBE_TIMEOUT_SECONDS, _left(model, deadline))
        return await self.find(model, digest, timeout=seconds)

    async def _many(
        self,
        model: str,
        photos: Sequence[tuple[bytes, Box | None]],
        digest: str | None,
        deadline: float,
    ) -> list[PhotoVector | LandmarksError]:
        found = await self._found(model, digest, deadline)
        stub = EncoderServiceStub(self.channel(found.target))
        outcomes: list[PhotoVector | LandmarksError] = []
        for part in request_limits(found.limits).parts([len(photo) for photo, _ in photos]):
            some = photos[part]
            request = pb.BatchEncodeRequest(
                model=model,
                photos=[photo for photo, _ in some],
                boxes=[box.message() if box else pb.Box() for _, box in some],
                expected_digest=digest or "",
            )
            try:
                answer = await stub.BatchEncode(request, timeout=_left(model, deadline))
            except grpc.aio.AioRpcError as error:
                raise error_from_rpc(error, f"encoder {found.target}") from error
            for result in answer.results:
                if result.WhichOneof("outcome") == "embedding":
                    outcomes.append(_encoded(result.embedding, answer.digest))
                else:
                    outcomes.append(error_from_status(result.error))
        return outcomes

    async def _one(
        self, model: str, photo: bytes, box: Box | None, digest: str | None, deadline: float
    ) -> PhotoVector:
        found = await self._found(model, digest, deadline)
        request = pb.EncodeRequest(
            model=model,
            photo=photo,
            expected_digest=digest or "",
            box=box.message() if box else None,
        )
        try:
            answer = await EncoderServiceStub(self.channel(found.target)).Encode(
                request, timeout=_left(model, deadline)
            )
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, f"encoder {found.target}") from error
        return _encoded(answer.embedding, answer.digest)

    async def _describe(
        self,
        model: str,
        target: str,
        timeout: float,  # noqa: ASYNC109
    ) -> list[ServedModel] | LandmarksError:
        try:
            return served_revisions(await self.describe(model, target, timeout), target)
        except LandmarksError as error:
            return error


def _encoded(embedding: pb.Embedding, digest: str) -> PhotoVector:
    return PhotoVector(np.asarray(embedding.values, dtype=np.float32), digest)


def _left(model: str, deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineError(f"the deadline passed before {model!r} could encode the photo")
    return left
