"""BentoML around the model, with its adaptive batching: `bentoml serve …bento:PhotoEncoder`.

Photos come and vectors go as the bodies of HTTP, with nothing around them; they are decoded while
the batch before them runs.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bentoml
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.peers.peer_model import PeerModel, PeerSettings
from encoder_service.models.base import FloatMatrix

_SETTINGS = PeerSettings.read()
_MODEL = PeerModel(_SETTINGS)
_DECODERS = ThreadPoolExecutor(max(1, _SETTINGS.sharing.threads))
_MOST_SECONDS = 120


class PhotoBody(bentoml.IODescriptor):  # type: ignore[misc]
    """A photo: the body of a request; decoded, (1, 3, H, W)."""

    photos: Any

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> PhotoBody:
        """Decode the body."""
        del serde
        body = await request.body()
        loop = asyncio.get_running_loop()
        decoded = await loop.run_in_executor(_DECODERS, _MODEL.decoded, body)
        return cls.model_construct(photos=decoded[np.newaxis])  # type: ignore[no-any-return]


class VectorBody(bentoml.IODescriptor):  # type: ignore[misc]
    """A vector: the body of an answer, float32."""

    @classmethod
    async def to_http_response(cls, obj: FloatMatrix, serde: object) -> Response:
        """Return the bytes of the vector."""
        del serde
        return Response(obj.tobytes(), media_type="application/octet-stream")


@bentoml.service(
    workers=_SETTINGS.sharing.workers,
    traffic={"timeout": _MOST_SECONDS},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class PhotoEncoder:
    """The service."""

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True,
        max_batch_size=_SETTINGS.sharing.batch,
        max_latency_ms=1000 * _MOST_SECONDS,  # of each; beyond it BentoML refuses
        input_spec=PhotoBody,
        output_spec=VectorBody,
    )
    def encode(self, photos: Any) -> FloatMatrix:  # noqa: ANN401 - BentoML looks at it at run time
        """Return unit rows (N, dimension) for (N, 3, H, W)."""
        return _MODEL.embed(list(photos))
