"""Photos → vectors, in batches that the encoder accepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import ceil

import grpc
import numpy as np
import structlog

from indexer_worker.retry import TRANSIENT_ERRORS, RetryPolicy
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.batched import batched
from landmarks.encoders.directory import EncoderDirectory, ServedModel
from landmarks.encoders.limits import request_limits
from landmarks.errors import (
    InvalidInputError,
    InvalidPhotoError,
    LandmarksError,
    LineageError,
    UnavailableError,
)
from landmarks.rpc.status import error_from_rpc, error_from_status
from landmarks.vector_store.points import FloatVector, check_vector

_log = structlog.get_logger(__name__)

_MOST_LOSSES = 3
_PARTS = 8
Exclusively = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class EncodedPhoto:
    """A photo's vector ((dimension,) float32, unit length), and its size in pixels."""

    vector: FloatVector
    width: int
    height: int


class _EncoderLostError(Exception):
    """The encoder became unavailable too often, each time while it encoded these photos."""


class ModelEncoder:
    """The encoder with a collection's digest, for one chunk.

    Photos that may crash the encoder are tried again in `exclusively`: one batch at a time in the
    whole system, as a crash makes every batch of that moment suspect. `exclusively` raises
    UnavailableError if another worker is inside. Made when the encoder is away, it raises
    UnavailableError at once: waiting here would keep a thread from the work of other models.
    """

    def __init__(
        self,
        directory: EncoderDirectory,
        retry: RetryPolicy,
        model: str,
        digest: str,
        timeout_seconds: float,
        exclusively: Exclusively,
    ) -> None:
        self._directory = directory
        self._retry = retry
        self._model = model
        self._digest = digest
        self._timeout = timeout_seconds
        self._exclusively = exclusively
        self._served = self._find()
        self.limits = request_limits(self._served.limits)

    def encode(self, photos: Sequence[bytes]) -> list[EncodedPhoto | LandmarksError]:
        """Return each photo's vector, or its error.

        Retries while the encoder is unavailable or overloaded, for a batch or for some of its
        photos. If the encoder is lost again and again while it encodes these, they are tried in
        parts, down to the photo that crashes it. Raises LineageError if no encoder has the digest
        any longer.
        """
        outcomes: dict[int, EncodedPhoto | LandmarksError] = {}
        parts: list[Sequence[int]] = [range(len(photos))]
        while parts:
            part = [index for index in parts.pop() if index not in outcomes]
            suspect = len(part) < len(photos)
            if self._encode(photos, part, outcomes, suspect=suspect):
                continue
            if len(part) == 1:
                outcomes[part[0]] = InvalidPhotoError(
                    f"given up: the encoder was lost {_MOST_LOSSES} times while it encoded it"
                )
            else:
                parts += batched(part, ceil(len(part) / _PARTS))
        return [outcomes[index] for index in range(len(photos))]

    def _encode(
        self,
        photos: Sequence[bytes],
        part: Sequence[int],
        outcomes: dict[int, EncodedPhoto | LandmarksError],
        *,
        suspect: bool,
    ) -> bool:
        """Add the outcomes of a part; return False if the encoder was lost too often meanwhile."""
        losses = 0

        def attempt() -> None:
            nonlocal losses
            missing = [index for index in part if index not in outcomes]
            with self._exclusively() if suspect or losses else nullcontext():
                if losses:
                    # Waits for an encoder that is back: only a call to it shows whether it crashes.
                    self._served = self._find()
                try:
                    results = self._call([photos[index] for index in missing])
                except UnavailableError as error:
                    losses += 1
                    if losses == _MOST_LOSSES:
                        raise _EncoderLostError from error
                    raise
            transient: LandmarksError | None = None
            for index, result in zip(missing, results, strict=True):
                outcome = self._outcome(result)
                if isinstance(outcome, TRANSIENT_ERRORS):
                    transient = outcome
                else:
                    outcomes[index] = outcome
            if transient is not None:
                raise transient

        try:
            self._retry.call(attempt)
        except _EncoderLostError:
            _log.warning("the encoder is lost while it encodes these photos", photos=len(part))
            return False
        return True

    def _find(self) -> ServedModel:
        return self._directory.find(self._model, self._digest)

    def _call(self, photos: list[bytes]) -> Sequence[pb.BatchEncodeResult]:
        request = pb.BatchEncodeRequest(
            model=self._model, photos=photos, expected_digest=self._digest
        )
        target = self._served.target
        try:
            answer = self._directory.stub(target).BatchEncode(request, timeout=self._timeout)
        except grpc.RpcError as error:
            failure = error_from_rpc(error, f"encoder {target}")
            if isinstance(failure, LineageError):
                # Replaced meanwhile. Another target may have the digest; if none has, this raises.
                self._served = self._find()
            raise failure from error
        if answer.digest != self._digest:
            raise LineageError(
                f"encoder {target} answered with digest {answer.digest[:8]}, not"
                f" {self._digest[:8]}; it was replaced without honouring expected_digest"
            )
        if len(answer.results) != len(photos):
            raise UnavailableError(
                f"encoder {target} returned {len(answer.results)} results for {len(photos)} photos"
            )
        return answer.results

    def _outcome(self, result: pb.BatchEncodeResult) -> EncodedPhoto | LandmarksError:
        if result.WhichOneof("outcome") != "embedding":
            return error_from_status(result.error)
        vector = np.array(result.embedding.values, dtype=np.float32)
        if len(vector) != self._served.dimension:
            return InvalidPhotoError(
                f"the encoder returned {len(vector)} numbers instead of {self._served.dimension}"
            )
        try:
            check_vector(vector, "the vector that the encoder returned")
        except InvalidInputError as error:
            return InvalidPhotoError(str(error))
        return EncodedPhoto(vector, result.photo.width, result.photo.height)
