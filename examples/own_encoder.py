"""An encoder of your own as a service: colours on a grid, written against the contract alone.

Usage: python examples/own_encoder.py [PORT]

Workers and the search service find it where both have
LANDMARKS_ENCODERS='{"histogram": ["127.0.0.1:50071"]}'. Any language can do the same: implement
the four methods of protos/landmarkapi/encoder/v1/encoder.proto. Needs grpcio, numpy, pillow and the
stubs, not this project's packages.
"""

import asyncio
import hashlib
import io
import sys

import grpc
import numpy as np
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from PIL import Image, ImageOps

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1 import encoder_pb2_grpc as rpc

NAME, GRID, REVISION = "histogram", 8, 1
# Identifies what makes the vectors. Change it whenever they change: collections record it, and
# vectors of two digests never mix.
DIGEST = hashlib.sha256(f"{NAME}, {GRID} x {GRID}, revision {REVISION}".encode()).hexdigest()
MODEL = pb.Model(
    name=NAME,
    description=f"Colours on a grid of {GRID} x {GRID}.",
    layer="pixels",
    dimension=GRID * GRID * 3,
    digest=DIGEST,
    input_size=GRID,
    runtime="numpy",
    limits=pb.InputLimits(
        max_photo_bytes=20_000_000,
        max_photo_pixels=100_000_000,
        max_batch_photos=32,
        max_request_bytes=64_000_000,
    ),
    ready=True,
)
CAP = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]


def encode(photo: bytes, box: pb.Box | None = None) -> tuple[np.ndarray, pb.PhotoInfo]:
    """Return a photo's vector, (dimension,) float32 of unit length; raises OSError, ValueError."""
    opened = Image.open(io.BytesIO(photo))
    if opened.width * opened.height > MODEL.limits.max_photo_pixels:
        raise ValueError(f"it has more than {MODEL.limits.max_photo_pixels:,} pixels")
    image = ImageOps.exif_transpose(opened).convert("RGB")
    width, height = image.size
    if box is not None and box.right > box.left:
        sides = (box.left * width, box.top * height, box.right * width, box.bottom * height)
        image = image.crop(tuple(round(side) for side in sides))
    pixels = np.asarray(image.resize((GRID, GRID)), np.float32).ravel() - 127.5
    vector = pixels / max(float(np.linalg.norm(pixels)), 1e-6)
    return vector, pb.PhotoInfo(width=width, height=height, format=opened.format or "")


class Encoder(rpc.EncoderServiceServicer):
    """The contract. Decoding runs in threads, so that health and other calls are answered."""

    async def Encode(self, request, context):
        await check(request, context)
        box = request.box if request.HasField("box") else None
        try:
            vector, info = await asyncio.to_thread(encode, request.photo, box)
        except (OSError, ValueError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a photo: {error}")
        embedding = pb.Embedding(values=vector.tolist())
        return pb.EncodeResponse(embedding=embedding, model=NAME, digest=DIGEST, photo=info)

    async def BatchEncode(self, request, context):
        await check(request, context)
        boxes = request.boxes or [None] * len(request.photos)
        results = []
        for photo, box in zip(request.photos, boxes, strict=True):
            try:
                vector, info = await asyncio.to_thread(encode, photo, box)
            except (OSError, ValueError) as error:  # an error for this photo alone
                status = Status(code=Code.INVALID_ARGUMENT, message=f"not a photo: {error}")
                results.append(pb.BatchEncodeResult(error=status))
            else:
                embedding = pb.Embedding(values=vector.tolist())
                results.append(pb.BatchEncodeResult(embedding=embedding, photo=info))
        return pb.BatchEncodeResponse(results=results, model=NAME, digest=DIGEST)

    async def GetModel(self, request, context):
        await check(request, context)
        return pb.GetModelResponse(model=MODEL)

    async def ListModels(self, request, context):
        return pb.ListModelsResponse(models=[MODEL])


async def check(request, context) -> None:
    """End the call if it is for another model, or for another version of this one."""
    if request.model not in ("", NAME):
        await context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model!r} here")
    if getattr(request, "expected_digest", "") not in ("", DIGEST):
        message = f"the digest is {DIGEST}, not {request.expected_digest}"
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)


async def main(port: str = "50071") -> None:
    server = grpc.aio.server(options=CAP)
    rpc.add_EncoderServiceServicer_to_server(Encoder(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print(f"{NAME} serves on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
