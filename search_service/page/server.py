"""Serves the page beside gRPC, in the search service's own process."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from landmarks.client import AsyncLandmarks
from landmarks.errors import ConfigurationError
from landmarks.images import PhotoLimits
from landmarks.source_roots import SourceRoots
from search_service.page import files, guard, jobs, pictures, searches
from search_service.page.answers import CLIENT
from search_service.page.thumbnails import Thumbnails
from search_service.settings import SearchSettings

_log = structlog.get_logger(__name__)

# Beside the photo itself, an upload holds what is asked of it.
_FORM_BYTES = 1_000_000


@asynccontextmanager
async def serving_page(
    settings: SearchSettings, grpc_port: int, roots: SourceRoots
) -> AsyncIterator[int]:
    """Serve the page until the block ends, and give its port.

    It asks the gRPC server on `grpc_port` of this machine, which must serve already, and reads the
    photos of points below `roots`.

    Raises ConfigurationError where the port is in use.
    """
    client = AsyncLandmarks(f"{_own_host(settings.search_host)}:{grpc_port}")
    limits = PhotoLimits(settings.max_photo_bytes, settings.page_max_pixels)
    thumbnails = Thumbnails(roots, limits, settings.page_cache_bytes)
    app = web.Application(
        middlewares=[guard.guard(settings.page_hosts)],
        client_max_size=settings.max_photo_bytes + _FORM_BYTES,
    )
    app[CLIENT] = client
    app[jobs.STREAMS] = set()
    app.on_shutdown.append(jobs.end_streams)
    app[pictures.THUMBNAILS] = thumbnails
    app[searches.LIMITS] = searches.Limits(settings.max_photo_bytes, settings.search_max_seconds)
    app.on_response_prepare.append(guard.add_headers)
    for routes in (files.routes(), searches.routes(), jobs.routes(), pictures.routes()):
        app.add_routes(routes)
    # Neither addresses nor what was searched for are logged. Who has gone is not worked for.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=settings.search_drain_seconds,
    )
    try:
        await runner.setup()
        site = web.TCPSite(
            runner,
            settings.page_host,
            settings.page_port,
            reuse_address=True,
        )
        try:
            await site.start()
        except OSError as error:
            why = "in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            raise ConfigurationError(
                f"cannot serve the page on {settings.page_host}:{settings.page_port}: the port is"
                f" {why}; set LANDMARKS_PAGE_PORT to another, or to nothing for no page"
            ) from error
        port = int(runner.addresses[0][1])
        _log.info("the page is served", address=f"http://{settings.page_host}:{port}")
        yield port
    finally:
        await runner.cleanup()
        thumbnails.close()
        await client.close()


def _own_host(host: str) -> str:
    """Return an address of this machine at which a server bound to `host` answers."""
    return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}.get(host, host)  # noqa: S104
