"""Settings of the indexing worker."""

from __future__ import annotations

import socket

from pydantic import Field

from landmarks.settings import BrokerSettings, EncoderEndpoints, NameList
from landmarks.vector_store.settings import VectorStoreSettings


class IndexerSettings(VectorStoreSettings, BrokerSettings, EncoderEndpoints):
    """What a worker is told.

    `source_roots` is JSON: the local paths and URIs below which sources may lie; the search
    service is told the same. `models` (JSON, or names with commas between them) limits which
    models' queues this worker takes chunks from; all of `encoders` where it is empty.
    """

    source_roots: list[str] = Field(default_factory=list)
    models: NameList = ()
    # A chunk is what is lost when a worker dies: seconds of work, and a few batches of an encoder.
    chunk_size: int = Field(64, ge=1, le=1000)
    # One chunk reads or stores while another one's photos are encoded.
    worker_concurrency: int = Field(4, ge=1, le=256)
    worker_name: str = ""
    read_threads: int = Field(8, ge=1, le=64)
    encode_timeout_seconds: float = Field(120, gt=0)
    # How long a chunk waits for an encoder, Qdrant or Redis before it gives its thread back.
    outage_patience_seconds: float = Field(600, ge=0)
    # How often a chunk is begun without ending before it is split; a photo alone in its chunk is a
    # dead letter then.
    chunk_max_attempts: int = Field(3, ge=2)  # parts of a chunk begin with one
    # Together they bound how long a dead worker's chunk waits: a lease, a sweep, the queue.
    lease_seconds: float = Field(15, gt=0)
    sweep_seconds: float = Field(5, gt=0)

    @property
    def name(self) -> str:
        """The worker's name: as told, or of its host, which in containers is the replica's own."""
        return self.worker_name or f"indexer-{socket.gethostname()}"

    @property
    def consumed_models(self) -> tuple[str, ...]:
        """The models whose queues this worker takes chunks from."""
        return self.models or tuple(self.encoders)
