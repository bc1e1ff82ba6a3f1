"""Everything that knows Qdrant: names and lineage of collections, point ids, payload, queries.

    naming       `collection_name`, `alias_name`, `parse_collection_name`, `check_gallery`
    points       `point_id`, `PhotoPayload` (what a point says of its photo), `Point`
    filters      `Filter`, `Equals`, `AnyOf`, `Range`: conditions on payload
    requests     `Query`, `Hit`: a search by vector or by point id, and what it finds
    settings     `VectorStoreSettings`: where Qdrant is, and how new collections are laid out
    client       `connect`, `connect_async`: gRPC only, with deadlines and message caps
    collections  `Collections`: `live`, `to_write`, `create_beside`, `promote`, `drop`, `states`
    store        `PointStore`: what the indexer does with points (threads)
    search       `SearchStore`: what the search service asks (event loop)
    transfer     `Transfer`: whole collections to files and back
    export_file  what such a file is
    failures     `qdrant_failures`: the one place where Qdrant's failures become ours
    edge         the embedded server: Qdrant's gRPC protocol over Qdrant Edge shards

`naming`, `points` and the values of `filters` are plain values; the rest uses `qdrant_client`.
Every operation raises `landmarks.errors`: UnavailableError where Qdrant cannot be reached,
NotFoundError, InvalidInputError, LineageError.
"""
