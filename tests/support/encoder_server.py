"""A real encoder server in the test's own process, on a free port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from encoder_service.loader import load_encoder
from encoder_service.model_host import LoadEncoder
from encoder_service.server import EncoderServer, start
from encoder_service.settings import EncoderSettings
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.rpc.channel import open_aio_channel


def toy_settings(**fields: object) -> EncoderSettings:
    """Return settings for a server of the toy encoder, which has to be registered."""
    return EncoderSettings.load({"models": "toy", "encoder_port": 0, "threads": 1, **fields})


@asynccontextmanager
async def running_encoder(
    settings: EncoderSettings, load: LoadEncoder = load_encoder, wait: bool = True
) -> AsyncIterator[tuple[EncoderServer, EncoderServiceStub]]:
    """Run a server, by default until its models are loaded, and give it with a stub for it."""
    server = await start(settings, load)
    try:
        if wait:
            await server.loading
        async with open_aio_channel(f"127.0.0.1:{server.port}") as channel:
            yield server, EncoderServiceStub(channel)
    finally:
        await server.close()
