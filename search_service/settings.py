"""What the search service may be told."""

from __future__ import annotations

from pydantic import Field

from landmarks.settings import (
    DEFAULT_MAX_PHOTO_BYTES,
    BrokerSettings,
    EncoderEndpoints,
    NameList,
    OptionalBool,
    OptionalPath,
    OptionalPort,
)
from landmarks.vector_store.settings import VectorStoreSettings


class SearchSettings(VectorStoreSettings, BrokerSettings, EncoderEndpoints):
    """The search service's settings.

    `source_roots` is JSON: the local paths and URIs below which sources may lie; the indexing
    workers are told the same, as they are told the same `encoders`, Qdrant and Redis.
    """

    search_host: str = "127.0.0.1"
    search_port: int = Field(50050, ge=0, le=65535)  # 0: any free one
    # How long a search may take where its caller sets no deadline, or a later one.
    search_max_seconds: float = Field(30, gt=0)
    search_drain_seconds: float = Field(20, ge=0)
    search_health_seconds: float = Field(2, gt=0)
    # Of the searches, how many are asked a second time, exactly, to tell the index's recall.
    search_recall_share: float = Field(0.02, ge=0, le=1)
    # As the encoders are told: what they would refuse is not sent to them.
    max_photo_bytes: int = Field(DEFAULT_MAX_PHOTO_BYTES, gt=0)
    source_roots: list[str] = Field(default_factory=list)

    # The front door is for people and programs, who have keys; certificates are for our own parts.
    tls_client_certificates: OptionalBool = False
    # Hashed API keys, made with `landmarks keys`; none: whoever reaches the service may call it.
    api_keys_file: OptionalPath = None
    # Calls a second that each client may make in the long run, and at once; 0: any number. A client
    # is a key, or where there are none, an address.
    rate_limit: float = Field(0, ge=0)
    rate_burst: float = Field(60, ge=1)

    # The web page; with TLS and keys as gRPC has them.
    page_host: str = "127.0.0.1"
    page_port: OptionalPort = 8080
    # Names other than localhost under which the page may be asked; addresses always may.
    page_hosts: NameList = ()
    # Photos of points that declare more are not made small. As the encoders, by default.
    page_max_pixels: int = Field(64_000_000, gt=0)
    page_cache_bytes: int = Field(64_000_000, ge=0)
