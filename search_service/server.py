"""Assembles the search service and serves it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import grpc
import structlog

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.indexing.v1.indexing_pb2_grpc import add_IndexingServiceServicer_to_server
from landmarkapi.search.v1 import search_pb2
from landmarkapi.search.v1.search_pb2_grpc import add_SearchServiceServicer_to_server
from landmarks.encoders.directory_aio import AsyncEncoderDirectory
from landmarks.errors import ConfigurationError, LandmarksError
from landmarks.job_store.copy_checks import CopyChecks
from landmarks.job_store.redis_client import connect_redis
from landmarks.observability.telemetry import untraced
from landmarks.photos.source_roots import ROOTS_SETTING, SourceRoots
from landmarks.photos.sources import Sources
from landmarks.rpc.auth_interceptor import AdmissionInterceptor
from landmarks.rpc.server import (
    HealthServicer,
    add_health_and_reflection,
    bind,
    create_server,
    is_loopback,
    require_authentication,
    serve_until_signal,
)
from landmarks.vector_store.async_store import SearchStore
from search_service.authorization import Authorizer
from search_service.health import HealthWatch
from search_service.indexing.servicer import create_indexing_servicer
from search_service.memory import MemoryReturn
from search_service.search.recall_monitor import RecallMonitor
from search_service.search.servicer import SearchServicer
from search_service.settings import SearchSettings

_log = structlog.get_logger(__name__)

SEARCH_SERVICE = search_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name
INDEXING_SERVICE = indexing_pb2.DESCRIPTOR.services_by_name["IndexingService"].full_name


@dataclass(frozen=True)
class RunningService:
    """A search service that accepts calls."""

    server: grpc.aio.Server
    health: HealthServicer
    port: int
    page_port: int | None
    close_page: Callable[[], Awaitable[None]]


@asynccontextmanager
async def running(settings: SearchSettings) -> AsyncIterator[RunningService]:
    """Serve until the block ends.

    Raises ConfigurationError if the port is in use, a source root is invalid, or the service would
    be open to anybody on the network.
    """
    _check_exposure(settings)
    settings.tls.check()
    roots = _roots(settings)
    sources = Sources(roots)
    authorizer = Authorizer(settings.api_keys_file, settings.rate_limit, settings.rate_burst)
    server = create_server(
        interceptors=[] if authorizer.is_open else [AdmissionInterceptor(authorizer)]
    )
    store = SearchStore(settings)
    encoders = AsyncEncoderDirectory(settings.encoders, settings.tls)
    recall = RecallMonitor(store, settings.search_recall_share)
    indexing = create_indexing_servicer(
        redis_url=settings.broker_url,
        models=encoders.models,
        sources=sources,
        collections=store,
        qdrant=settings,
        recall=recall,
    )
    services = [SEARCH_SERVICE, INDEXING_SERVICE]
    search = SearchServicer(
        store, encoders, recall, settings.search_max_seconds, settings.max_photo_bytes
    )
    add_SearchServiceServicer_to_server(search, server)
    add_IndexingServiceServicer_to_server(indexing, server)
    health = add_health_and_reflection(server, services)

    checks = CopyChecks(connect_redis(settings.broker_url), settings.redis_url)
    watch = HealthWatch(
        health, ("", *services), store, encoders, checks, settings.search_health_seconds
    )
    watching: list[asyncio.Task[None]] = []
    sockets = ExitStack()
    try:
        port = bind(server, f"{settings.search_host}:{settings.search_port}", settings.tls)
        has_page = settings.page_port is not None
        own_target = sockets.enter_context(_own_socket(server)) if has_page else ""
        with untraced(settings):
            await watch.check()  # so that the first health answer is correct
        await server.start()
        with untraced(settings):  # constant checks that belong to no request
            watching = [asyncio.create_task(one.run()) for one in (watch, MemoryReturn())]
        _log.info(
            "listening",
            address=f"{settings.search_host}:{port}",
            services=services,
            tls=settings.tls.serves,
            api_keys=authorizer.requires_keys,
        )
        async with AsyncExitStack() as stack:
            page_port: int | None = None
            if has_page:
                from search_service.web.server import serving_page  # imports Pillow and aiohttp

                page_port = await stack.enter_async_context(
                    serving_page(settings, own_target, authorizer, roots)
                )
            yield RunningService(server, health, port, page_port, stack.aclose)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await server.stop(None)
        sockets.close()
        await recall.close()
        await indexing.close()
        await encoders.close()
        await asyncio.to_thread(checks.close)
        await store.close()


async def serve(settings: SearchSettings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the accepted calls."""
    async with running(settings) as service:
        await serve_until_signal(
            service.server, service.health, settings.search_drain_seconds, service.close_page
        )


@contextmanager
def _own_socket(server: grpc.aio.Server) -> Iterator[str]:
    """Bind `server` to a socket that only this user can reach, and yield its target.

    The page calls over it: it needs no certificate, and its calls are recognised by the socket.
    """
    with tempfile.TemporaryDirectory(prefix="landmarks-") as folder:
        target = f"unix:{folder}/grpc"
        bind(server, target)
        yield target


def _check_exposure(settings: SearchSettings) -> None:
    keys = (
        None
        if settings.api_keys_file
        else ("make a key with `landmarks keys create NAME` and set LANDMARKS_API_KEYS_FILE")
    )
    grpc_how = None if settings.tls.mutual else keys
    require_authentication(settings, "the search service", settings.search_host, grpc_how)
    if settings.page_port is not None:
        require_authentication(settings, "the page", settings.page_host, keys)
    exposed = not (is_loopback(settings.search_host) and is_loopback(settings.page_host))
    if exposed and settings.api_keys_file and not settings.tls.serves:
        _log.warning(
            "API keys travel unencrypted: set LANDMARKS_TLS_CERTIFICATE and _KEY, or allow only a"
            " proxy that terminates TLS to reach this service"
        )


def _roots(settings: SearchSettings) -> SourceRoots:
    try:
        return SourceRoots(settings.source_roots)
    except LandmarksError as error:
        raise ConfigurationError(f"invalid setting {ROOTS_SETTING}: {error}") from error
