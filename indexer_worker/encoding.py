"""Photos → vectors, in batches that the encoder accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np

from indexer_worker.patience import PASSING, Patience
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.encoders import EncoderDirectory, ServedModel
from landmarks.errors import InvalidPhotoError, LandmarksError, LineageError, UnavailableError
from landmarks.grpc_channel import MAX_MESSAGE_BYTES
from landmarks.grpc_status import error_from_rpc, error_from_status
from vector_store.points import FloatVector

# For an encoder that states no limit.
_DEFAULT_PHOTO_BYTES = 20 * 1024 * 1024
_DEFAULT_BATCH_PHOTOS = 32
# What a request holds besides the photos' bytes: names, and some bytes a photo.
_OVERHEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Encoded:
    """A photo's vector (float32, unit length, (dimension,)), and its size in pixels."""

    vector: FloatVector
    width: int
    height: int


@dataclass(frozen=True)
class BatchLimits:
    """What one request to an encoder may hold."""

    photo_bytes: int
    photos: int
    total_bytes: int

    def holds(self, photos: int, total_bytes: int) -> bool:
        """Say whether a request with so many photos and bytes is accepted."""
        return photos <= self.photos and total_bytes <= self.total_bytes


def batch_limits(limits: pb.InputLimits) -> BatchLimits:
    """Return what a request may hold by the encoder's limits and by the caps on messages."""
    total = min(limits.max_request_bytes or MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES) - _OVERHEAD_BYTES
    return BatchLimits(
        photo_bytes=min(limits.max_photo_bytes or _DEFAULT_PHOTO_BYTES, total),
        photos=limits.max_batch_photos or _DEFAULT_BATCH_PHOTOS,
        total_bytes=total,
    )


class ModelEncoder:
    """The encoder that made a collection's vectors, for one chunk."""

    def __init__(
        self,
        directory: EncoderDirectory,
        patience: Patience,
        model: str,
        digest: str,
        timeout_seconds: float,
    ) -> None:
        self._directory = directory
        self._patience = patience
        self._model = model
        self._digest = digest
        self._timeout = timeout_seconds
        self._served = patience.wait_out(self._find)
        self.limits = batch_limits(self._served.limits)

    def encode(self, photos: Sequence[bytes]) -> list[Encoded | LandmarksError]:
        """Return each photo's vector, or why there is none.

        Waits while the encoder is away or busy, with a batch or with some of its photos. Raises
        LineageError where no encoder has the digest any more.
        """
        outcomes: dict[int, Encoded | LandmarksError] = {}

        def attempt() -> None:
            missing = [index for index in range(len(photos)) if index not in outcomes]
            results = self._call([photos[index] for index in missing])
            passing: LandmarksError | None = None
            for index, result in zip(missing, results, strict=True):
                outcome = self._outcome(result)
                if isinstance(outcome, PASSING):
                    passing = outcome
                else:
                    outcomes[index] = outcome
            if passing is not None:
                raise passing

        self._patience.wait_out(attempt)
        return [outcomes[index] for index in range(len(photos))]

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
