"""Binds, locks the data directory, loads the shards, and serves until told to stop."""

from __future__ import annotations

import asyncio
import sys

import structlog
from qdrant_client import grpc as q
from qdrant_client.grpc import collections_service_pb2, points_service_pb2, qdrant_pb2

from landmarks.errors import ConfigurationError
from landmarks.grpc_server import (
    SERVING,
    add_health_and_reflection,
    bind,
    create_server,
    serve_until_signal,
)
from landmarks.logs import configure_logging
from vector_store.edge.collections import CollectionsService, health_check, typed
from vector_store.edge.engine import Engine
from vector_store.edge.locks import lock
from vector_store.edge.points import PointsService
from vector_store.edge.services import service
from vector_store.edge.settings import EdgeSettings
from vector_store.edge.zygote import Zygote

_log = structlog.get_logger(__name__)


def main() -> None:
    """Run the embedded vector database; exits with the reason where it cannot be set up."""
    try:
        settings = EdgeSettings.load()
        configure_logging(settings, "qdrant-edge")
        asyncio.run(serve(settings))
    except ConfigurationError as error:
        sys.exit(str(error))


async def serve(settings: EdgeSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises ConfigurationError where the port or the data directory is another process's.
    """
    directory = settings.edge_data_dir
    with lock(directory / "server.lock"):
        server = create_server()
        port = bind(server, f"{settings.edge_host}:{settings.qdrant_port}")
        zygote = Zygote()
        try:
            zygote.start()
            engine = Engine(directory, zygote)
            await engine.open()
            services = {
                points_service_pb2.DESCRIPTOR.services_by_name["Points"]: PointsService(
                    engine
                ).handlers(),
                collections_service_pb2.DESCRIPTOR.services_by_name[
                    "Collections"
                ]: CollectionsService(engine).handlers(),
                qdrant_pb2.DESCRIPTOR.services_by_name["Qdrant"]: {
                    "HealthCheck": typed(q.HealthCheckRequest, health_check)
                },
            }
            server.add_generic_rpc_handlers(
                tuple(service(descriptor, table) for descriptor, table in services.items())
            )
            names = [descriptor.full_name for descriptor in services]
            health = add_health_and_reflection(server, names)
            await server.start()
            for name in ("", *names):
                await health.set(name, SERVING)
            _log.info("serving", port=port, data=str(directory))
            await serve_until_signal(server, health)
            await engine.close()
        finally:
            zygote.stop()


if __name__ == "__main__":
    main()
