"""Telemetry of a process: metrics for Prometheus, spans for OpenTelemetry.

Both are off unless the settings turn them on. Metrics are always counted, which costs next to
nothing; OpenTelemetry is imported only if there is an endpoint to send spans to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import structlog

from landmarks.errors import ConfigurationError, LandmarksError
from landmarks.settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = structlog.get_logger(__name__)

# Beside /metrics; the health checks of containers ask for it.
HEALTH_PATH = "/health"
# Whether the service of this process is ready; may block for seconds.
IsReady = Callable[[], bool]


@contextmanager
def telemetry(settings: Settings, service: str, is_ready: IsReady | None = None) -> Iterator[None]:
    """Serve metrics and send spans until the block ends, as far as the settings turn them on.

    Enter it before any channel or server is made, and after everything that forks. Raises
    ConfigurationError if the port for metrics is in use.
    """
    with metrics_served(settings, is_ready), spans_sent(settings, service):
        yield


@contextmanager
def metrics_served(settings: Settings, is_ready: IsReady | None = None) -> Iterator[int | None]:
    """Serve /metrics until the block ends, and yield the port; None if no port is set.

    With `is_ready`, /health is 200 where it returns true, and else 503; without, it is 404. Raises
    ConfigurationError if the port is in use.
    """
    if settings.metrics_port is None:
        yield None
        return
    from prometheus_client import disable_created_metrics, make_wsgi_app, start_http_server

    disable_created_metrics()  # type: ignore[no-untyped-call]
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise ConfigurationError(
            f"cannot serve metrics on {host}:{port}: the port is in use, or the address is not"
            " this machine's; set LANDMARKS_METRICS_PORT to another, or to nothing"
        ) from error
    server.set_app(_with_health(make_wsgi_app(), settings, is_ready))
    _log.info("serving metrics", address=f"http://{host}:{server.server_port}/metrics")
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _with_health(
    metrics: WSGIApplication, settings: Settings, is_ready: IsReady | None
) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != HEALTH_PATH:
            return metrics(environ, start_response)
        status, text = ("404 Not Found", "no health") if is_ready is None else ask(is_ready)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    def ask(is_ready: IsReady) -> tuple[str, str]:
        try:
            with untraced(settings):
                ready = is_ready()
        except LandmarksError as error:
            return "503 Service Unavailable", str(error)
        return ("200 OK", "ready") if ready else ("503 Service Unavailable", "not ready")

    return answer


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
