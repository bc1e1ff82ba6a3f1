"""Serves the page beside gRPC, in the search service's own process."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import structlog
from aiohttp import web

from landmarks.client import AsyncLandmarks
from landmarks.errors import ConfigurationError
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.source_roots import SourceRoots
from landmarks.security.proxies import TrustedProxies
from search_service.authorization import Authorizer
from search_service.settings import SearchSettings
from search_service.web import (
    job_routes,
    photo_routes,
    search_routes,
    security_middleware,
    session,
    static_files,
)
from search_service.web.connections import Connections, Room
from search_service.web.responses import CLIENT
from search_service.web.thumbnails import Thumbnails

_log = structlog.get_logger(__name__)

# The other parts of an upload's form, besides the photo.
_FORM_BYTES = 1_000_000
# The longest that a connection may take to bring a request's headers, and how many it may have.
_REQUEST_SECONDS = 15.0
_MOST_HEADERS = 64


@asynccontextmanager
async def serving_page(
    settings: SearchSettings, own_target: str, authorizer: Authorizer, roots: SourceRoots
) -> AsyncIterator[int]:
    """Serve the page until the block ends, and yield its port.

    It calls this process's own gRPC server at `own_target`, which must be serving already, with
    the keys of its users, and reads the photos of points below `roots`.

    Raises ConfigurationError if the port is in use or a TLS file cannot be used.
    """
    context = settings.tls.ssl_context() if settings.tls.serves else None
    proxies = TrustedProxies(settings.trusted_proxies)
    connections = Connections(Room.of_this_process(), proxies, context)
    client = AsyncLandmarks(own_target)
    limits = PhotoLimits(
        settings.max_photo_bytes,
        settings.page_max_pixels,
        pixels_setting="LANDMARKS_PAGE_MAX_PIXELS",
        max_decoding_bytes=settings.max_decoding_bytes,
    )
    thumbnails = Thumbnails(roots, limits, settings.page_cache_bytes)
    app = web.Application(
        middlewares=[
            security_middleware.security_middleware(settings.page_hosts),
            session.authorization_middleware(authorizer, proxies),
        ],
        client_max_size=settings.max_photo_bytes + _FORM_BYTES,
    )
    app[CLIENT] = client
    app[session.CONNECTIONS] = connections
    app[session.AUTHORIZER] = authorizer
    app[job_routes.STREAMS] = set()
    app.on_shutdown.append(job_routes.end_streams)
    app[photo_routes.THUMBNAILS] = thumbnails
    app[search_routes.LIMITS] = search_routes.SearchLimits(
        settings.max_photo_bytes, settings.search_max_seconds
    )
    app.on_response_prepare.append(security_middleware.add_headers)
    for part in (static_files, session, search_routes, job_routes, photo_routes):
        app.add_routes(part.routes())
    # No access log: neither addresses nor searches are logged. Closing the connection cancels.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=settings.search_drain_seconds,
        keepalive_timeout=_REQUEST_SECONDS,
        max_headers=_MOST_HEADERS,
        auto_decompress=False,  # no browser compresses what it sends
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        stack.callback(thumbnails.close)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        make_protocol = cast("Callable[[], asyncio.Protocol]", runner.server)
        accepting = connections.accepting(
            make_protocol, settings.page_host, settings.page_port or 0
        )
        try:
            port = await stack.enter_async_context(accepting)
        except OSError as error:
            why = "in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            raise ConfigurationError(
                f"cannot serve the page on {settings.page_host}:{settings.page_port}: the port is"
                f" {why}; set LANDMARKS_PAGE_PORT to another, or to nothing to serve no page"
            ) from error
        _log.info(
            "serving the page",
            address=f"{'https' if context else 'http'}://{settings.page_host}:{port}",
        )
        yield port
