"""Telemetry of a process: metrics for Prometheus, spans for OpenTelemetry.

Both are off unless the settings turn them on. Metrics are always counted, which costs next to
nothing; OpenTelemetry is imported only if there is an endpoint to send spans to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import structlog

from landmarks.errors import ConfigurationError
from landmarks.settings import Settings

_log = structlog.get_logger(__name__)


@contextmanager
def telemetry(settings: Settings, service: str) -> Iterator[None]:
    """Serve metrics and send spans until the block ends, as far as the settings turn them on.

    Enter it before any channel or server is made, and after everything that forks. Raises
    ConfigurationError if the port for metrics is in use.
    """
    with metrics_served(settings), spans_sent(settings, service):
        yield


@contextmanager
def metrics_served(settings: Settings) -> Iterator[int | None]:
    """Serve /metrics until the block ends, and yield the port; None if no port is set.

    Raises ConfigurationError if the port is in use.
    """
    if settings.metrics_port is None:
        yield None
        return
    from prometheus_client import disable_created_metrics, start_http_server

    disable_created_metrics()  # type: ignore[no-untyped-call]
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise ConfigurationError(
            f"cannot serve metrics on {host}:{port}: the port is in use, or the address is not"
            " this machine's; set LANDMARKS_METRICS_PORT to another, or to nothing"
        ) from error
    _log.info("serving metrics", address=f"http://{host}:{server.server_port}/metrics")
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def spans_sent(settings: Settings, service: str) -> AbstractContextManager[None]:
    """Send spans of all calls until the block ends, if the settings have an endpoint."""
    if not settings.otlp_endpoint:
        return nullcontext()
    from landmarks.observability.tracing import sending

    return sending(settings.otlp_endpoint, service)


def untraced(settings: Settings) -> AbstractContextManager[None]:
    """Send no spans of the calls inside, neither from here nor from the services called."""
    if not settings.otlp_endpoint:
        return nullcontext()
    from landmarks.observability.tracing import unsampled

    return unsampled()
