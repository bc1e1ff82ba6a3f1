"""Settings of the processes that write to Qdrant."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from landmarks.settings import NameList, QdrantSettings
from landmarks.vector_store.layout import acknowledgements_for, diverges, refused_settings


class VectorStoreSettings(QdrantSettings):
    """Where Qdrant is, and the layout of new collections.

    The counts of shards and replicas are for a cluster, and unset elsewhere; the embedded engine
    refuses more than one. As many acknowledgements as copies are refused: see `layout`.
    `qdrant_quantized` searches int8 copies of the vectors, which are kept in
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

    @model_validator(mode="after")
    def _copies_stay_the_same(self) -> Self:
        copies, needed = self.qdrant_replication_factor, self.qdrant_write_consistency_factor
        if copies is not None and needed is not None and diverges(copies, needed):
            raise ValueError(refused_settings(copies, needed))
        return self

    @property
    def write_consistency(self) -> int | None:
        """How many copies must confirm a write; None where the server's defaults decide."""
        copies, needed = self.qdrant_replication_factor, self.qdrant_write_consistency_factor
        return acknowledgements_for(copies) if needed is None and copies is not None else needed
