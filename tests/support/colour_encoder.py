"""A small real encoder: the colours of a photo on a 4 × 4 grid, as a unit vector, over gRPC.

`python -m tests.support.colour_encoder PORT MODEL [SECONDS [LOG [REVISION]]]`; SECONDS is how long
a batch takes at least, for tests that need to come in between. To the file LOG it appends the
sha256 of each photo that it begins to encode, and when. It does not survive a photo that is POISON
pixels wide. REVISION 2 sees photos darker, 3 makes nothing of them but noise: of other digests.
LANDMARKS_ENCODER_HOST and TLS are as for the real one.
"""

import asyncio
import hashlib
import io
import math
import os
import sys
import time
from pathlib import Path

import grpc
import numpy as np
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from PIL import Image, UnidentifiedImageError

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1 import encoder_pb2_grpc as rpc
from landmarks.errors import LineageError, NotFoundError
from landmarks.rpc.server import SERVING, add_health_and_reflection, bind, create_server
from landmarks.service import run_service
from landmarks.settings import Settings

DIMENSION = 4 * 4 * 3


def digest_of(revision: int) -> str:
    """Return the digest of a revision."""
    return hashlib.sha256(f"colours on a 4 x 4 grid, revision {revision}".encode()).hexdigest()


DIGEST = digest_of(1)
MAX_PHOTO_BYTES = 200_000
MAX_BATCH_PHOTOS = 4
POISON = 13
# Photos of these widths get a vector with this at its first place, and zeros after it.
NOWHERE = {11: 0.0, 17: math.nan, 19: math.inf}


def embedded(photo: bytes, revision: int = 1) -> pb.BatchEncodeResult:
    """Return the vector of one photo, or the error of its item."""
    try:
        image = Image.open(io.BytesIO(photo))
        if image.width == POISON:
            os._exit(1)
        pixels = np.asarray(image.convert("RGB").resize((4, 4)), dtype=np.float32).ravel() + 1
    except (UnidentifiedImageError, OSError) as error:
        status = Status(code=Code.INVALID_ARGUMENT, message=f"not an image: {error}")
        return pb.BatchEncodeResult(error=status)
    if revision == 2:
        pixels = pixels**2
    elif revision == 3:
        seed = int.from_bytes(hashlib.sha256(photo).digest()[:8])
        pixels = np.random.default_rng(seed).normal(size=DIMENSION)
    vector = pixels / np.linalg.norm(pixels)
    if image.width in NOWHERE:
        vector = np.array([NOWHERE[image.width], *[0.0] * (DIMENSION - 1)])
    return pb.BatchEncodeResult(
        embedding=pb.Embedding(values=vector.tolist()),
        photo=pb.PhotoInfo(width=image.width, height=image.height, format=image.format),
    )


class ColourEncoder(rpc.EncoderServiceServicer):
    def __init__(self, model: str, seconds: float, log: Path | None, revision: int) -> None:
        self._seconds = seconds
        self._log = log
        self._revision = revision
        self._digest = digest_of(revision)
        self._model = pb.Model(
            name=model,
            dimension=DIMENSION,
            digest=self._digest,
            ready=True,
            limits=pb.InputLimits(
                max_photo_bytes=MAX_PHOTO_BYTES,
                max_batch_photos=MAX_BATCH_PHOTOS,
                max_request_bytes=1_000_000,
            ),
        )

    async def GetModel(  # noqa: N802 - the name in the contract
        self, request: pb.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetModelResponse:
        self._check(request.model)
        return pb.GetModelResponse(model=self._model)

    async def Encode(  # noqa: N802
        self, request: pb.EncodeRequest, context: grpc.aio.ServicerContext
    ) -> pb.EncodeResponse:
        self._check(request.model)
        await asyncio.sleep(self._seconds)
        return pb.EncodeResponse(
            embedding=embedded(request.photo, self._revision).embedding,
            model=self._model.name,
            digest=self._digest,
        )

    async def BatchEncode(  # noqa: N802
        self, request: pb.BatchEncodeRequest, context: grpc.aio.ServicerContext
    ) -> pb.BatchEncodeResponse:
        self._check(request.model)
        if request.expected_digest not in ("", self._digest):
            raise LineageError("another digest")
        assert len(request.photos) <= MAX_BATCH_PHOTOS
        if self._log:
            hashes = [hashlib.sha256(photo).hexdigest() for photo in request.photos]
            lines = [f"{sha256} {time.time()}\n" for sha256 in hashes]
            with self._log.open("a") as file:
                file.write("".join(lines))  # in one piece, and before anything can go wrong
        await asyncio.sleep(self._seconds)
        return pb.BatchEncodeResponse(
            results=[embedded(photo, self._revision) for photo in request.photos],
            model=self._model.name,
            digest=self._digest,
        )

    def _check(self, model: str) -> None:
        if model not in ("", self._model.name):
            raise NotFoundError(f"no model {model!r} here")


class ColourSettings(Settings):
    encoder_host: str = "127.0.0.1"


async def serve(
    settings: ColourSettings,
    port: int,
    model: str,
    seconds: float,
    log: Path | None,
    revision: int,
) -> None:
    server = create_server()
    rpc.add_EncoderServiceServicer_to_server(ColourEncoder(model, seconds, log, revision), server)
    health = add_health_and_reflection(server, ["landmarkapi.encoder.v1.EncoderService"])
    bind(server, f"{settings.encoder_host}:{port}", settings.tls)
    await health.set("", SERVING)
    await server.start()
    await server.wait_for_termination()


def main(port: str, model: str, seconds: str = "0", log: str = "", revision: str = "1") -> int:
    serving = (int(port), model, float(seconds), Path(log) if log else None, int(revision))
    return run_service("encoder", ColourSettings, lambda it: asyncio.run(serve(it, *serving)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
