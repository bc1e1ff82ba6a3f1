"""Locks the data directory, binds the port, loads the shards, and serves until a signal."""

from __future__ import annotations

import asyncio
import os

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from qdrant_client import grpc as q
from qdrant_client.grpc import (
    collections_service_pb2,
    points_service_pb2,
    qdrant_pb2,
    snapshots_service_pb2,
)

from landmarks.edge_server.auth import SingleKeyPolicy
from landmarks.edge_server.dir_lock import lock
from landmarks.edge_server.engine import Engine
from landmarks.edge_server.fork_server import ForkServer
from landmarks.edge_server.optimizer import optimize_when_due
from landmarks.edge_server.services.collections import CollectionsService, health_check, typed
from landmarks.edge_server.services.points import PointsService
from landmarks.edge_server.services.registration import Handler, service
from landmarks.edge_server.services.snapshots import SnapshotsService
from landmarks.edge_server.settings import EdgeSettings
from landmarks.observability.telemetry import telemetry
from landmarks.rpc.auth_interceptor import AdmissionInterceptor
from landmarks.rpc.server import (
    NOT_SERVING,
    SERVICE_UNKNOWN,
    SERVING,
    HealthServicer,
    add_health_and_reflection,
    bind,
    create_server,
    require_authentication,
    serve_until_signal,
)
from landmarks.security.tls import NO_TLS
from landmarks.service import run_service

_log = structlog.get_logger(__name__)
# A snapshot of everything is one call.
_SNAPSHOT_SECONDS = 3600
_WATCH_SECONDS = 2.0
_NAME = "qdrant-edge"


def main() -> int:
    """Run the embedded vector database; return the exit status."""
    return run_service(_NAME, EdgeSettings, _serve_with_fork_server, with_telemetry=False)


def _serve_with_fork_server(settings: EdgeSettings) -> None:
    fork_server = ForkServer.start()
    try:
        # Telemetry has its own threads and channel, and nothing may fork after those exist.
        with telemetry(settings, _NAME):
            asyncio.run(serve(settings, fork_server))
    finally:
        fork_server.stop()


async def serve(settings: EdgeSettings, fork_server: ForkServer) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises ConfigurationError if another process has the port or the data directory.
    """
    directory = settings.edge_data_dir
    with lock(directory / "server.lock"):
        key = settings.qdrant_api_key
        require_authentication(
            settings,
            "the embedded Qdrant",
            settings.edge_host,
            None if key else "set LANDMARKS_QDRANT_API_KEY, here and for its clients",
        )
        server = create_server(
            interceptors=[AdmissionInterceptor(SingleKeyPolicy(key))] if key else [],
            longest_call_seconds=_SNAPSHOT_SECONDS,
        )
        tls = settings.tls if settings.qdrant_tls else NO_TLS
        port = bind(server, f"{settings.edge_host}:{settings.qdrant_port}", tls)
        asyncio.get_running_loop().add_reader(fork_server.fileno(), _give_up)
        engine = Engine(directory, fork_server)
        await engine.open()
        optimizing = asyncio.create_task(
            optimize_when_due(engine, settings.edge_optimize_after_seconds)
        )
        names = _add_services(server, engine)
        health = add_health_and_reflection(server, names)
        watching = asyncio.create_task(_watch_collections(engine, health))
        await server.start()
        for name in ("", *names):
            await health.set(name, SERVING)
        _log.info("serving", port=port, data=str(directory))
        await serve_until_signal(server, health)
        for task in (optimizing, watching):
            task.cancel()
        await asyncio.wait([optimizing, watching])
        await engine.close()


async def _watch_collections(engine: Engine, health: HealthServicer) -> None:
    """Have the health service answer for each collection, by its name; and watch the disk."""
    known: frozenset[str] = frozenset()
    while True:
        engine.room.watch()
        collections = engine.by_name
        for name, collection in collections.items():
            await health.set(name, NOT_SERVING if collection.problem else SERVING, listed=False)
        for name in known - collections.keys():  # dropped
            await health.set(name, SERVICE_UNKNOWN, listed=False)
        known = frozenset(collections)
        await asyncio.sleep(_WATCH_SECONDS)


def _add_services(server: grpc.aio.Server, engine: Engine) -> list[str]:
    services: dict[ServiceDescriptor, dict[str, Handler]] = {
        points_service_pb2.DESCRIPTOR.services_by_name["Points"]: PointsService(engine).handlers(),
        collections_service_pb2.DESCRIPTOR.services_by_name["Collections"]: CollectionsService(
            engine
        ).handlers(),
        qdrant_pb2.DESCRIPTOR.services_by_name["Qdrant"]: {
            "HealthCheck": typed(q.HealthCheckRequest, health_check)
        },
        snapshots_service_pb2.DESCRIPTOR.services_by_name["Snapshots"]: SnapshotsService(
            engine
        ).handlers(),
    }
    server.add_generic_rpc_handlers(
        tuple(service(descriptor, handlers) for descriptor, handlers in services.items())
    )
    return [descriptor.full_name for descriptor in services]


def _give_up() -> None:
    # The shard processes have died with it. The process manager restarts this server, and the
    # write-ahead logs have everything that was acknowledged.
    _log.critical("the process that shards are forked from has died")
    os._exit(1)
