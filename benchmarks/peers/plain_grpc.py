"""A plain `grpc.aio` server: each photo is decoded and run by one thread of a pool, unbatched."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from benchmarks.peers.minimal_grpc import serve
from benchmarks.peers.peer_model import PeerModel, PeerSettings
from encoder_service.models.base import FloatArray


async def main() -> None:
    """Serve what the environment says until SIGTERM."""
    settings = PeerSettings.read()
    model = PeerModel(settings)
    pool = ThreadPoolExecutor(settings.sharing.workers)

    def encoded(photo: bytes) -> FloatArray:
        row: FloatArray = model.embed([model.decoded(photo)])[0]
        return row

    async def encode(photo: bytes) -> FloatArray:
        return await asyncio.get_running_loop().run_in_executor(pool, encoded, photo)

    await serve(settings.model, settings.port, encode)


if __name__ == "__main__":
    asyncio.run(main())
