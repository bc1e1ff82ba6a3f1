"""Clients of Qdrant: gRPC only, with deadlines and message caps, embedded or a cluster alike.

The API key and TLS are those of Qdrant's own client.
"""

from __future__ import annotations

import json
import math
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.connection import get_async_channel, get_channel

from landmarks.addresses import literal_ip, split_address
from landmarks.errors import ConfigurationError, UnavailableError
from landmarks.rpc.channel import MAX_MESSAGE_BYTES, channel_options
from landmarks.rpc.following_channel import following_all, following_all_aio
from landmarks.rpc.name_watch import name_in
from landmarks.security.tls import Tls
from landmarks.settings import QdrantSettings

# Another node may answer these where one has failed: it may be the only one that reaches no peer,
# which Qdrant calls an internal error.
_READS = ("Get", "Scroll", "Query", "QueryBatch", "Count", "Facet")
# Where there may be several nodes. One that is stopped keeps its connections and says nothing: so
# much silence while a call waits, and the call goes to another. Qdrant answers pings however long a
# call takes. Connecting is given up as soon, as it is tried again, and a large message is kept
# until it is answered, to be sent again.
_OF_NODES: dict[str, int | str] = {
    "grpc.keepalive_time_ms": 600,
    "grpc.keepalive_timeout_ms": 800,
    # What counts where gRPC has sent a ping of its own, to measure bandwidth; else it is a minute.
    "grpc.http2.ping_timeout_ms": 800,
    "grpc.http2.max_pings_without_data": 0,
    "grpc.min_reconnect_backoff_ms": 3_000,
    "grpc.per_rpc_retry_buffer_size": MAX_MESSAGE_BYTES,
}


def addresses_of(settings: QdrantSettings) -> tuple[str, ...]:
    """Return each address that is set, as host:port; one may be a name of several nodes."""
    return settings.qdrant_addresses


def address_of(settings: QdrantSettings) -> str:
    """Return host:port, or several with commas between them, for messages."""
    return ",".join(addresses_of(settings))


def nodes_of(settings: QdrantSettings) -> tuple[str, ...]:
    """Return the address of each node, as host:port: names are looked up now.

    Raises UnavailableError if a name has no address.
    """
    found: dict[str, None] = {}
    for address in addresses_of(settings):
        host, port = split_address(address)
        if literal_ip(host) is not None:
            found[address] = None
            continue
        try:
            answers = socket.getaddrinfo(name_in(host) or host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UnavailableError(f"no address of Qdrant at {address}: {error}") from error
        for ip in (str(one[0]) for *_, one in answers):
            found[f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"] = None
    return tuple(found)


def connect(settings: QdrantSettings) -> QdrantClient:
    """Return a client for threads. It connects when it is first used; close it when done.

    Raises ConfigurationError if a TLS file cannot be used, and for a list without a name that is in
    all certificates.
    """
    return _connect(settings, _server_name(settings))


def connect_to(settings: QdrantSettings, address: str) -> QdrantClient:
    """Return a client of one node, at `address` (host:port, as `nodes_of` gives it).

    With TLS, the name in its certificate is that of the settings, as it is for all nodes together.
    Raises ConfigurationError as `connect`.
    """
    name = _server_name(settings)
    if not name and address not in addresses_of(settings):
        name = name_in(addresses_of(settings)[0])
    return _connect(settings.model_copy(update={"qdrant_host": address}), name)


def _connect(settings: QdrantSettings, server_name: str) -> QdrantClient:
    with _unencrypted_key_is_known():
        client = QdrantClient(**_arguments(settings, server_name))
    if _may_be_several(settings):
        remote: Any = client._client
        open_one = partial(_open_as_client, get_channel, remote)
        remote._grpc_channel_pool = [following_all(addresses_of(settings), open_one)]
    return client


def connect_async(settings: QdrantSettings) -> AsyncQdrantClient:
    """Return a client for the running event loop, otherwise as `connect`."""
    with _unencrypted_key_is_known():
        client = AsyncQdrantClient(**_arguments(settings, _server_name(settings)))
    if _may_be_several(settings):
        remote: Any = client._client
        open_one = partial(_open_as_client, get_async_channel, remote)
        remote._grpc_channel_pool = [following_all_aio(addresses_of(settings), open_one)]
    return client


def open_aio_channel(settings: QdrantSettings) -> grpc.aio.Channel:
    """Open a channel for calls with Qdrant's own messages and `key_metadata` in each.

    The client's own channel adds the key by an interceptor, which costs more than sending the call.

    Raises ConfigurationError as `connect`.
    """
    options = list(_channel_options(settings, _server_name(settings)).items())
    credentials = _tls(settings).channel_credentials() if settings.qdrant_tls else None

    def open_one(target: str) -> grpc.aio.Channel:
        if credentials is None:
            return grpc.aio.insecure_channel(target, options=options)
        return grpc.aio.secure_channel(target, credentials, options=options)

    return following_all_aio(addresses_of(settings), open_one)


def key_metadata(settings: QdrantSettings) -> tuple[tuple[str, str], ...]:
    """Return the metadata with the API key, as Qdrant's own client sends it."""
    key = settings.qdrant_api_key
    return (("api-key", key.get_secret_value()),) if key else ()


@contextmanager
def _unencrypted_key_is_known() -> Iterator[None]:
    """Keep the client from warning of a key without TLS, which the settings decide."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        yield


def _may_be_several(settings: QdrantSettings) -> bool:
    addresses = addresses_of(settings)
    return len(addresses) > 1 or bool(name_in(addresses[0]))


def _server_name(settings: QdrantSettings) -> str:
    """Return the name that certificates must have; empty: the name that is called."""
    addresses = addresses_of(settings)
    if not settings.qdrant_tls or len(addresses) == 1:
        return ""
    if not settings.tls_server_name:
        raise ConfigurationError(
            f"LANDMARKS_QDRANT_HOST has several addresses ({address_of(settings)}), which no"
            " certificate names together; set LANDMARKS_TLS_SERVER_NAME to a name that the"
            " certificates of all have, or LANDMARKS_QDRANT_HOST to one name with all addresses"
        )
    return settings.tls_server_name


def _arguments(settings: QdrantSettings, server_name: str) -> dict[str, Any]:
    key = settings.qdrant_api_key
    host, port = split_address(addresses_of(settings)[0])
    return {
        "host": host,
        "port": None,
        "grpc_port": port,
        "prefer_grpc": True,
        "https": settings.qdrant_tls,
        "api_key": key.get_secret_value() if key else None,
        "timeout": math.ceil(settings.qdrant_timeout_seconds),
        "grpc_options": {**_channel_options(settings, server_name), **_tls_options(settings)},
        # The check is REST, which the embedded server does not speak.
        "check_compatibility": False,
        # More channels of the same options would share the connections of one.
        "pool_size": 1,
    }


def _open_as_client(open_one: Any, remote: Any, target: str) -> Any:  # noqa: ANN401
    """Open a channel as Qdrant's client would; it takes none from outside, and host and port."""
    host, port = split_address(target)
    return open_one(
        host=host,
        port=port,
        ssl=remote._https,
        metadata=remote._grpc_headers,
        options=remote._grpc_options,
    )


def _channel_options(settings: QdrantSettings, server_name: str) -> dict[str, int | str]:
    options = dict(channel_options())
    if _may_be_several(settings):
        options |= _OF_NODES
        options["grpc.service_config"] = _reads_go_on(str(options["grpc.service_config"]))
    if server_name:
        options["grpc.ssl_target_name_override"] = server_name
    elif len(addresses_of(settings)) > 1:
        # Else it would be all of them, which is no authority to Qdrant.
        options["grpc.default_authority"] = addresses_of(settings)[0]
    return options


def _reads_go_on(service_config: str) -> str:
    """Return a service config with which reads are retried after internal errors too."""
    config = json.loads(service_config)
    usual = config["methodConfig"][0]["retryPolicy"]
    codes = [*usual["retryableStatusCodes"], "INTERNAL"]
    config["methodConfig"].append(
        {
            "name": [{"service": "qdrant.Points", "method": method} for method in _READS],
            "retryPolicy": {**usual, "maxAttempts": 3, "retryableStatusCodes": codes},
        }
    )
    return json.dumps(config)


def _tls(settings: QdrantSettings) -> Tls:
    return replace(settings.tls, ca=settings.qdrant_tls_ca or settings.tls_ca)


def _tls_options(settings: QdrantSettings) -> dict[str, bytes | None]:
    """Return the client's arguments for its TLS credentials."""
    if not settings.qdrant_tls:
        return {}
    files = _tls(settings).contents()
    return {
        "root_certificates": files.ca,
        "private_key": files.key,
        "certificate_chain": files.certificate,
    }
