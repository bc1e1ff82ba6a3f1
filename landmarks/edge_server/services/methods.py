"""The methods of the Points service that are served: each is one request to a shard."""

from __future__ import annotations

WRITES = (
    "Upsert",
    "Delete",
    "SetPayload",
    "OverwritePayload",
    "DeletePayload",
    "ClearPayload",
    "UpdateBatch",
    "CreateFieldIndex",
    "DeleteFieldIndex",
)
READS = ("Get", "Scroll", "Count", "Facet", "Query", "QueryBatch")
