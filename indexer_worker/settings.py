"""Settings of the indexing worker."""

from __future__ import annotations

import socket

from pydantic import Field

from landmarks.job_store.store import GENERATIONS_PER_SECOND
from landmarks.photos.metadata.read import FactsWanted
from landmarks.settings import BrokerSettings, EncoderEndpoints, NameList
from landmarks.vector_store.settings import VectorStoreSettings


class IndexerSettings(VectorStoreSettings, BrokerSettings, EncoderEndpoints):
    """Settings of an indexing worker.

    `source_roots` is JSON: the local paths and URIs below which sources may lie; the search
    service needs the same. `models` (JSON, or names separated by commas) limits which models'
    queues this worker takes chunks from; empty means all of `encoders`.
    """

    source_roots: list[str] = Field(default_factory=list)
    models: NameList = ()
    # A worker that dies loses a chunk: seconds of work, and a few batches of an encoder.
    chunk_size: int = Field(64, ge=1, le=1000)
    # So that one chunk reads or stores while another's photos are encoded.
    worker_concurrency: int = Field(4, ge=1, le=256)
    worker_name: str = ""
    read_threads: int = Field(8, ge=1, le=64)
    # Where photos were taken, and which camera took them, for those who must not keep it.
    index_places: bool = True
    index_serials: bool = False
    encode_timeout_seconds: float = Field(120, gt=0)
    # How long calls to an encoder, Qdrant or Redis are retried before the work is postponed.
    outage_patience_seconds: float = Field(600, ge=0)
    # After so many attempts that never ended, a chunk is split; a photo alone in its chunk becomes
    # a dead letter.
    chunk_max_attempts: int = Field(3, ge=2)  # parts of a chunk start with one
    # Together they bound how long a dead worker's chunk waits: a lease, a sweep, the queue.
    lease_seconds: float = Field(15, gt=0)
    sweep_seconds: float = Field(5, gt=0)
    # How long it is known of a photo that it was deleted: longer than any copy of a collection is
    # away and comes back. The next job of the gallery removes what is older.
    deletion_mark_days: float = Field(7, gt=0)

    @property
    def facts_wanted(self) -> FactsWanted:
        """Which facts of a photo are stored."""
        return FactsWanted(places=self.index_places, serials=self.index_serials)

    @property
    def mark_generations(self) -> int:
        """How much lower the generation of a mark is that is old enough to be removed."""
        return int(self.deletion_mark_days * 24 * 3600 * GENERATIONS_PER_SECOND)

    @property
    def name(self) -> str:
        """The worker's name: as set, or by its hostname, which in containers is the replica's."""
        return self.worker_name or f"indexer-{socket.gethostname()}"

    @property
    def consumed_models(self) -> tuple[str, ...]:
        """The models whose queues this worker takes chunks from."""
        return self.models or tuple(self.encoders)
