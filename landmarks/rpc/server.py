"""Setting up a gRPC server: TLS, limits, health, reflection and draining.

`landmarks.rpc.call_interceptor` handles each call.
"""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence

import grpc
import structlog
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as aio_health
from grpc_reflection.v1alpha import reflection

from landmarks.errors import ConfigurationError
from landmarks.rpc.call_interceptor import CallInterceptor
from landmarks.rpc.channel import MAX_MESSAGE_BYTES
from landmarks.rpc.handler_wrapping import Context
from landmarks.security.tls import NO_TLS, Tls
from landmarks.settings import Settings

_log = structlog.get_logger(__name__)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer(aio_health.HealthServicer):
    """The standard health service, with `List`, which gRPC's own servicer lacks."""

    def __init__(self) -> None:
        super().__init__()
        self._names = {""}

    async def set(self, service: str, status: int, *, listed: bool = True) -> None:
        """Set the status of a service; `List`, which anyone may call, leaves out private ones."""
        if listed:
            self._names.add(service)
        await super().set(service, status)

    async def List(self, request: object, context: Context) -> Message:  # noqa: N802 - gRPC's name
        """Return the status of every service."""
        del request
        checks = {name: health_pb2.HealthCheckRequest(service=name) for name in self._names}
        statuses = {name: await self.Check(check, context) for name, check in checks.items()}
        answer: Message = health_pb2.HealthListResponse(  # type: ignore[attr-defined] # no stub yet
            statuses=statuses
        )
        return answer


def create_server(
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    longest_call_seconds: int = 60,
) -> grpc.aio.Server:
    """Create a server with the common options and interceptors, followed by `interceptors`.

    Old connections are closed; calls on them have `longest_call_seconds` to end.
    """
    options: list[tuple[str, int]] = [
        ("grpc.so_reuseport", 0),  # otherwise a port in use is taken silently
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        # A connection that says nothing is closed after this, not after two minutes.
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.max_allowed_incoming_connections", _most_connections()),
        ("grpc.keepalive_permit_without_calls", 1),
        # Callers that look for a node that hangs ask more than once a second, while a call waits.
        ("grpc.http2.min_ping_interval_without_data_ms", 300),
        # Programs with gRPC channels of their own find added replicas only by resolving again.
        ("grpc.max_connection_age_ms", 300_000),
        ("grpc.max_connection_age_grace_ms", longest_call_seconds * 1000),
    ]
    return grpc.aio.server(interceptors=[CallInterceptor(), *interceptors], options=options)


def _most_connections() -> int:
    """Return half of the file descriptors, so that callers leave some for all else."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 100_000 if most == resource.RLIM_INFINITY else most // 2


def add_health_and_reflection(server: grpc.aio.Server, services: Iterable[str]) -> HealthServicer:
    """Add the standard health service and reflection of `services` (full names) to a server."""
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = (*services, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return health


def bind(server: grpc.aio.Server, address: str, tls: Tls = NO_TLS) -> int:
    """Bind `server` to `address` (host:port; port 0 is any free one) and return the port.

    It speaks TLS if `tls` has a certificate. Raises ConfigurationError if the port is
    in use, or a file of `tls` cannot be used.
    """
    try:
        if tls.serves:
            return server.add_secure_port(address, tls.server_credentials())
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigurationError(
            f"cannot listen on {address}: the port is in use, or the address is not this machine's"
        ) from error


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def require_authentication(settings: Settings, what: str, host: str, how: str | None) -> None:
    """Raise ConfigurationError if anyone on the network could call, unless the settings allow it.

    `how` says what to set so that `what`, which listens on `host`, authenticates its callers; None
    if it does so already.
    """
    if how is None or is_loopback(host):
        return
    if not settings.allow_unauthenticated:
        raise ConfigurationError(
            f"{what} would listen on {host} and let in everybody who can reach it; {how}, or listen"
            " on 127.0.0.1, or if the network itself keeps others out, set"
            " LANDMARKS_ALLOW_UNAUTHENTICATED=true; see docs/security.md"
        )
    _log.warning("anybody who can reach this may call it", what=what, host=host)


async def serve_until_signal(
    server: grpc.aio.Server,
    health: HealthServicer,
    grace_seconds: float = 20,
    close_callers: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Wait for SIGTERM or SIGINT; then report NOT_SERVING, finish what was accepted, and stop.

    `close_callers` ends the callers in this process, whose streams would otherwise last as long as
    the grace period.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    _log.info("draining", grace_seconds=grace_seconds)
    await health.enter_graceful_shutdown()
    if close_callers is not None:
        await close_callers()
    await server.stop(grace_seconds)
