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
from landmarks.encoders.limits import batch_limits
from landmarks.errors import InvalidPhotoError, LandmarksError, LineageError, UnavailableError
from landmarks.rpc.status import error_from_rpc, error_from_status
from landmarks.vector_store.points import FloatVector

_log = structlog.get_logger(__name__)

_MOST_LOSSES = 3
_PARTS = 8
Alone = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Encoded:
    """A photo's vector (float32, unit length, (dimension,)), and its size in pixels."""

    vector: FloatVector
    width: int
    height: int


class _LostError(Exception):
    """The encoder was lost as often as is waited for, each time while it encoded these photos."""


class ModelEncoder:
    """The encoder that made a collection's vectors, for one chunk.

    In `alone`, photos with which the encoder was lost are tried again: one batch at a time in the
    whole system, as others would be lost with it and be suspected too. It raises UnavailableError
    where others are being tried.
    """

    def __init__(
        self,
        directory: EncoderDirectory,
        retry: RetryPolicy,
        model: str,
        digest: str,
        timeout_seconds: float,
        alone: Alone,
    ) -> None:
        self._directory = directory
        self._retry = retry
        self._model = model
        self._digest = digest
        self._timeout = timeout_seconds
        self._alone = alone
        self._served = retry.call(self._find)
        self.limits = batch_limits(self._served.limits)

    def encode(self, photos: Sequence[bytes]) -> list[Encoded | LandmarksError]:
        """Return each photo's vector, or why there is none.

        Waits while the encoder is away or busy, with a batch or with some of its photos. Where the
        encoder is lost again and again while it encodes these, parts of them are tried, down to
        the photo that it does not survive. Raises LineageError where no encoder has the digest any
        more.
        """
        outcomes: dict[int, Encoded | LandmarksError] = {}
        parts: list[Sequence[int]] = [range(len(photos))]
        while parts:
            part = [index for index in parts.pop() if index not in outcomes]
            suspect = len(part) < len(photos)
            if self._encode(photos, part, outcomes, suspect=suspect):
                continue
            if len(part) == 1:
                outcomes[part[0]] = InvalidPhotoError(
                    f"given up: the encoder was lost {_MOST_LOSSES} times while it encoded this"
                )
            else:
                parts += batched(part, ceil(len(part) / _PARTS))
        return [outcomes[index] for index in range(len(photos))]

    def _encode(
        self,
        photos: Sequence[bytes],
        part: Sequence[int],
        outcomes: dict[int, Encoded | LandmarksError],
        *,
        suspect: bool,
    ) -> bool:
        """Add the outcomes of a part; False where the encoder was lost too often meanwhile."""
        losses = 0

        def attempt() -> None:
            nonlocal losses
            missing = [index for index in part if index not in outcomes]
            with self._alone() if suspect or losses else nullcontext():
                if losses:
                    # Only a call to an encoder that is there again can tell anything.
                    self._served = self._find()
                try:
                    results = self._call([photos[index] for index in missing])
                except UnavailableError as error:
                    losses += 1
                    if losses == _MOST_LOSSES:
                        raise _LostError from error
                    raise
            passing: LandmarksError | None = None
            for index, result in zip(missing, results, strict=True):
                outcome = self._outcome(result)
                if isinstance(outcome, TRANSIENT_ERRORS):
                    passing = outcome
                else:
                    outcomes[index] = outcome
            if passing is not None:
                raise passing

        try:
            self._retry.call(attempt)
        except _LostError:
            _log.warning("the encoder is lost with these photos", photos=len(part))
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
                # Replaced while we worked. Another target may have the digest; if none, that says.
                self._served = self._find()
            raise failure from error
        if answer.digest != self._digest:
            raise LineageError(
                f"encoder {target} answered with digest {answer.digest[:8]}, not"
                f" {self._digest[:8]}; it was replaced without honouring expected_digest"
            )
        if len(answer.results) != len(photos):
            raise UnavailableError(
                f"encoder {target} answered {len(answer.results)} photos of {len(photos)}"
            )
        return answer.results

    def _outcome(self, result: pb.BatchEncodeResult) -> Encoded | LandmarksError:
        if result.WhichOneof("outcome") != "embedding":
            return error_from_status(result.error)
        vector = np.array(result.embedding.values, dtype=np.float32)
        if len(vector) != self._served.dimension or not np.isfinite(vector).all():
            return InvalidPhotoError("the encoder made a vector of it that cannot be stored")
        return Encoded(vector, result.photo.width, result.photo.height)
