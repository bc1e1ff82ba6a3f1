"""The search service's settings."""

from __future__ import annotations

from pydantic import Field

from landmarks.photos.limits import DEFAULT_MAX_DECODING_BYTES, DEFAULT_MAX_PHOTO_PIXELS
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
    """Settings of the search service.

    `source_roots` is JSON: the local paths and URIs below which sources may lie. It, `encoders`,
    Qdrant and Redis must be the same as the indexing workers'.
    """

    search_host: str = "127.0.0.1"
    search_port: int = Field(50050, ge=0, le=65535)  # 0: any free one
    # The longest a search may take, whatever deadline its caller sets.
    search_max_seconds: float = Field(30, gt=0)
    search_drain_seconds: float = Field(20, ge=0)
    search_health_seconds: float = Field(2, gt=0)
    # The share of searches repeated exactly, to measure the index's recall.
    search_recall_share: float = Field(0.02, ge=0, le=1)
    # As the encoders' setting: a photo that they would refuse is not sent to them.
    max_photo_bytes: int = Field(DEFAULT_MAX_PHOTO_BYTES, gt=0)
    source_roots: list[str] = Field(default_factory=list)

    # Callers authenticate with keys; client certificates are for our own services.
    tls_client_certificates: OptionalBool = False
    # Hashed API keys, made with `landmarks keys`; without a file anyone may call the service.
    api_keys_file: OptionalPath = None
    # Sustained calls per second of each client, and its burst; 0: no limit. A client is a key, or
    # without keys an address.
    rate_limit: float = Field(0, ge=0)
    rate_burst: float = Field(60, ge=1)
    # Addresses and networks of proxies whose X-Forwarded-For says whose requests they forward.
    trusted_proxies: NameList = ()

    # The web page; TLS and keys are those of gRPC.
    page_host: str = "127.0.0.1"
    page_port: OptionalPort = 8080
    # Host names besides localhost that the page accepts; addresses are always accepted.
    page_hosts: NameList = ()
    # Photos that declare more pixels get no thumbnail. The default is the encoders'.
    page_max_pixels: int = Field(DEFAULT_MAX_PHOTO_PIXELS, gt=0)
    # As the encoders' setting; what a thumbnail may take to make.
    max_decoding_bytes: int = Field(DEFAULT_MAX_DECODING_BYTES, gt=0)
    page_cache_bytes: int = Field(64_000_000, ge=0)
