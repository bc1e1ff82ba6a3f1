"""infinity's own batch handler around the model, behind the lean gRPC front.

Decoding is its pre-step, the session its core step. What its documentation advises: the delay is
half of the time that the core step takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
from infinity_emb.inference.batch_handler import BatchHandler
from infinity_emb.transformer.abstract import BaseEmbedder

from benchmarks.peers.minimal_grpc import serve
from benchmarks.peers.peer_model import PeerModel, PeerSettings
from encoder_service.models.base import FloatArray, FloatMatrix

_LEAST_DELAY, _MOST_DELAY = 1e-4, 0.1  # what the handler takes without a warning
_THREADS_PER_REPLICA = 3
_OTHER_THREADS = 2


class _Photos(BaseEmbedder):  # type: ignore[misc]
    """The model as infinity wants it."""

    def __init__(self, model: PeerModel) -> None:
        self._model = model

    def encode_pre(self, sentences: Sequence[bytes]) -> list[FloatArray]:
        return [self._model.decoded(photo) for photo in sentences]

    def encode_core(self, features: Sequence[FloatArray]) -> FloatMatrix:
        return self._model.embed(features)

    def encode_post(self, embedding: FloatMatrix, skip_quanitzation: bool = True) -> FloatMatrix:
        del skip_quanitzation
        return embedding

    def tokenize_lengths(self, sentences: Sequence[bytes]) -> list[int]:
        return [1] * len(sentences)


async def main() -> None:
    """Serve what the environment says until SIGTERM."""
    settings = PeerSettings.read()
    model, shared = PeerModel(settings), settings.sharing
    handler = BatchHandler(
        model_replicas=[_Photos(model) for _ in range(shared.workers)],
        max_batch_size=shared.batch,
        batch_delay=min(_MOST_DELAY, max(_LEAST_DELAY, _core_seconds(model, settings) / 2)),
    )
    # Its pool has four threads more than there are cores, and each replica takes three for good:
    # on a small machine the second would never run.
    pool = handler._threadpool
    needed = _OTHER_THREADS + _THREADS_PER_REPLICA * shared.workers
    pool._max_workers = max(pool._max_workers, needed)
    await handler.spawn()

    async def encode(photo: bytes) -> FloatArray:
        rows, _ = await handler.embed([photo])
        row: FloatArray = rows[0]
        return row

    await serve(settings.model, settings.port, encode)
    await handler.shutdown()


def _core_seconds(model: PeerModel, settings: PeerSettings) -> float:
    side = int(str(settings.preprocessing["input_size"]))
    photo = np.zeros((3, side, side), np.float32)
    took = []
    for _ in range(3):
        began = time.monotonic()
        model.embed([photo])
        took.append(time.monotonic() - began)
    return min(took)


if __name__ == "__main__":
    asyncio.run(main())
