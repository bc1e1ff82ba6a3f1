"""Settings of the processes that write to Qdrant."""

from __future__ import annotations

from pydantic import Field

from landmarks.settings import NameList, QdrantSettings


class VectorStoreSettings(QdrantSettings):
    """Where Qdrant is, and the layout of new collections.

    The counts of shards and replicas are for a cluster, and unset elsewhere; the embedded engine
    refuses more than one. `qdrant_quantized` searches int8 copies of the vectors, which are kept in
    memory, and rescores with the originals (`oversampling`). It saves memory together with
    `qdrant_on_disk`, which reads originals and payload indexes from disk on demand; alone, that
    makes searches wait for the disk. Existing collections stay as they are.
    """

    qdrant_hnsw_m: int = Field(16, ge=4, le=128)
    qdrant_hnsw_ef_construct: int = Field(128, ge=4)
    qdrant_shard_number: int | None = Field(None, ge=1)
    qdrant_replication_factor: int | None = Field(None, ge=1)
    qdrant_write_consistency_factor: int | None = Field(None, ge=1)
    qdrant_quantized: bool = False
    qdrant_on_disk: bool = False
    # Columns of manifests whose words can be searched for.
    qdrant_text_fields: NameList = ("title", "caption", "description")
