"""Asks a server whether it is ready, by gRPC's standard health protocol.

By hand: `python -m landmarks.probe HOST:PORT [SERVICE]`. Exit status 0 if it is serving, 1 if not;
TLS is as this process's settings say.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2

from landmarks.errors import ConfigurationError
from landmarks.rpc.channel import open_channel
from landmarks.security.tls import NO_TLS, Tls
from landmarks.settings import Settings

# What a server listens on that listens everywhere, and where it can then be called.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "localhost", "[::]": "localhost"}  # noqa: S104


def is_serving(
    address: str, service: str = "", timeout_seconds: float = 2.0, tls: Tls = NO_TLS
) -> bool:
    """Return whether the server at `address` says that `service` is serving."""
    request = health_pb2.HealthCheckRequest(service=service)
    with open_channel(address, tls) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer: health_pb2.HealthCheckResponse = check(request, timeout=timeout_seconds)
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def is_serving_itself(host: str, port: int, tls: Tls) -> bool:
    """Return whether this process's own server, which listens on `host`, is serving.

    The call goes the way that callers' calls go. `tls`: that of the server. Raises
    ConfigurationError if a file of it cannot be used.
    """
    return is_serving(f"{_EVERYWHERE.get(host, host)}:{port}", tls=tls.of_itself())


if __name__ == "__main__":
    address, service = [*sys.argv[1:3], ""][:2]
    try:
        serving = is_serving(address, service, tls=Settings.load().tls.of_itself())
    except ConfigurationError as error:
        sys.exit(str(error))
    sys.exit(not serving)
