"""The encoder service as a process: `python -m encoder_service`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import structlog

from encoder_service.decoding import DecodeThreads
from encoder_service.loader import load_encoder
from encoder_service.model_host import LoadEncoder, ModelHost
from encoder_service.models.registry import model_names
from encoder_service.servicer import EncoderServicer
from encoder_service.settings import EncoderSettings
from landmarkapi.encoder.v1.encoder_pb2 import DESCRIPTOR
from landmarkapi.encoder.v1.encoder_pb2_grpc import add_EncoderServiceServicer_to_server
from landmarks.errors import ConfigurationError
from landmarks.probe import is_serving_itself
from landmarks.rpc.server import (
    NOT_SERVING,
    SERVING,
    HealthServicer,
    add_health_and_reflection,
    bind,
    create_server,
    require_authentication,
    serve_until_signal,
)
from landmarks.service import run_service

_log = structlog.get_logger(__name__)
# Indexer workers wait up to 120 s for a batch (LANDMARKS_ENCODE_TIMEOUT_SECONDS).
_LONGEST_CALL_SECONDS = 180
SERVICE_NAME = DESCRIPTOR.services_by_name["EncoderService"].full_name


@dataclass(frozen=True)
class EncoderServer:
    """A listening server, whose models load in the background."""

    grpc_server: grpc.aio.Server
    health: HealthServicer
    hosts: Sequence[ModelHost]
    decode_threads: DecodeThreads
    port: int
    loading: asyncio.Task[None]

    async def close(self, grace_seconds: float | None = None) -> None:
        """Stop listening, finish or refuse accepted requests, and end the threads."""
        self.loading.cancel()
        await self.grpc_server.stop(grace_seconds)
        for host in self.hosts:
            await host.close()
        self.decode_threads.close()


async def start(settings: EncoderSettings, load: LoadEncoder = load_encoder) -> EncoderServer:
    """Listen, and start loading the models.

    Raises ConfigurationError where a model is unknown, the port is in use, or the service would be
    open to everybody.
    """
    known = model_names(settings.trained_models)
    if unknown := sorted(set(settings.models) - set(known)):
        raise ConfigurationError(
            f"LANDMARKS_MODELS names unknown models: {', '.join(unknown)}; known are:"
            f" {', '.join(sorted(known))}"
        )
    require_authentication(
        settings,
        "an encoder",
        settings.encoder_host,
        None if settings.tls.mutual else "set LANDMARKS_TLS_CERTIFICATE, _KEY and _CA",
    )
    server = create_server(settings.max_request_bytes, longest_call_seconds=_LONGEST_CALL_SECONDS)
    health = add_health_and_reflection(server, [SERVICE_NAME])
    for name in ("", SERVICE_NAME, *settings.models):
        await health.set(name, NOT_SERVING)
    port = bind(server, f"{settings.encoder_host}:{settings.encoder_port}", settings.tls)
    decode_threads = DecodeThreads(settings.decoders)
    hosts = [ModelHost(name, settings, decode_threads, load) for name in settings.models]
    add_EncoderServiceServicer_to_server(EncoderServicer(hosts, settings), server)
    await server.start()
    _log.info(
        "listening",
        host=settings.encoder_host,
        port=port,
        models=list(settings.models),
        tls=settings.tls.serves,
        mutual_tls=settings.tls.mutual,
    )
    loading = asyncio.get_running_loop().create_task(_load_all(hosts, health))
    return EncoderServer(server, health, hosts, decode_threads, port, loading)


async def _load_all(hosts: Sequence[ModelHost], health: HealthServicer) -> None:
    """Load every model, and report each as SERVING once it is ready.

    The whole process is SERVING once every model is ready or has failed, and at least one is
    ready: a failed model does not take the others down.
    """

    async def report() -> None:
        for host in hosts:
            await health.set(host.name, SERVING if host.ready else NOT_SERVING)
        settled = all(host.ready or host.failure for host in hosts)
        if settled and any(host.ready for host in hosts):
            for name in ("", SERVICE_NAME):
                await health.set(name, SERVING)

    async with asyncio.TaskGroup() as group:
        for host in hosts:
            group.create_task(host.load(report))


async def serve(settings: EncoderSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    server = await start(settings)
    try:
        await serve_until_signal(server.grpc_server, server.health, settings.drain_seconds)
    finally:
        await server.close()


def main() -> int:
    """Run the service with the settings of the environment; return the exit code."""
    return run_service(
        "encoder_service",
        EncoderSettings,
        lambda it: asyncio.run(serve(it)),
        is_ready=lambda it: is_serving_itself(it.encoder_host, it.encoder_port, it.tls),
    )
