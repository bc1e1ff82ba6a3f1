"""How a collection is laid out: Qdrant's parameters for Edge, and what Qdrant reports of them."""

from __future__ import annotations

import qdrant_edge as edge
from qdrant_client import grpc as q

from landmarks.errors import InvalidInputError, UnsupportedError

DEFAULT_INDEXING_THRESHOLD_KB = 20_000
_MAX_DIMENSION = 65_535

_DISTANCES = {
    q.Distance.Cosine: edge.Distance.Cosine,
    q.Distance.Dot: edge.Distance.Dot,
    q.Distance.Euclid: edge.Distance.Euclid,
    q.Distance.Manhattan: edge.Distance.Manhattan,
}
_FIELD_TYPES = {
    q.FieldType.FieldTypeKeyword: (edge.PayloadSchemaType.Keyword, q.PayloadSchemaType.Keyword),
    q.FieldType.FieldTypeInteger: (edge.PayloadSchemaType.Integer, q.PayloadSchemaType.Integer),
    q.FieldType.FieldTypeFloat: (edge.PayloadSchemaType.Float, q.PayloadSchemaType.Float),
    q.FieldType.FieldTypeBool: (edge.PayloadSchemaType.Bool, q.PayloadSchemaType.Bool),
    q.FieldType.FieldTypeDatetime: (edge.PayloadSchemaType.Datetime, q.PayloadSchemaType.Datetime),
    q.FieldType.FieldTypeUuid: (edge.PayloadSchemaType.Uuid, q.PayloadSchemaType.Uuid),
    q.FieldType.FieldTypeGeo: (edge.PayloadSchemaType.Geo, q.PayloadSchemaType.Geo),
    q.FieldType.FieldTypeText: (edge.PayloadSchemaType.Text, q.PayloadSchemaType.Text),
}
_TOKENIZERS = {
    q.TokenizerType.Prefix: edge.TokenizerType.Prefix,
    q.TokenizerType.Whitespace: edge.TokenizerType.Whitespace,
    q.TokenizerType.Word: edge.TokenizerType.Word,
    q.TokenizerType.Multilingual: edge.TokenizerType.Multilingual,
}


def dimension(config: q.CreateCollection) -> int:
    """Return how many numbers a vector of the collection has."""
    return config.vectors_config.params.size


def check(config: q.CreateCollection) -> None:
    """Raise InvalidInputError for parameters that no collection can have."""
    if not config.vectors_config.HasField("params"):
        raise InvalidInputError("the collection has no vectors", field="vectors_config")
    params = config.vectors_config.params
    if not 1 <= params.size <= _MAX_DIMENSION:
        raise InvalidInputError(
            f"Wrong input: the vector size {params.size} is not between 1 and {_MAX_DIMENSION}",
            field="vectors_config.size",
        )
    if params.distance not in _DISTANCES:
        raise InvalidInputError(
            "Wrong input: the collection has no distance", field="vectors_config.distance"
        )


def edge_config(config: q.CreateCollection) -> edge.EdgeConfig:
    """Return the configuration of a shard, with Qdrant's defaults for absent parameters."""
    hnsw = hnsw_config(config)
    optimizers = optimizers_config(config)
    quantization = None
    if config.HasField("quantization_config"):
        scalar = config.quantization_config.scalar
        quantization = edge.ScalarQuantizationConfig(
            type=edge.ScalarType.Int8,
            quantile=scalar.quantile if scalar.HasField("quantile") else None,
            always_ram=scalar.always_ram if scalar.HasField("always_ram") else None,
        )
    params = config.vectors_config.params
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(
            size=params.size,
            distance=_DISTANCES[params.distance],
            on_disk=params.on_disk if params.HasField("on_disk") else None,
        ),
        hnsw_config=edge.HnswIndexConfig(
            m=hnsw.m,
            ef_construct=hnsw.ef_construct,
            full_scan_threshold=hnsw.full_scan_threshold,
            max_indexing_threads=hnsw.max_indexing_threads,
            payload_m=hnsw.payload_m if hnsw.HasField("payload_m") else None,
        ),
        quantization_config=quantization,
        optimizers=edge.EdgeOptimizersConfig(
            deleted_threshold=optimizers.deleted_threshold,
            vacuum_min_vector_number=optimizers.vacuum_min_vector_number,
            default_segment_number=optimizers.default_segment_number or None,
            max_segment_size=(
                optimizers.max_segment_size if optimizers.HasField("max_segment_size") else None
            ),
            indexing_threshold=optimizers.indexing_threshold,
        ),
    )


def hnsw_config(config: q.CreateCollection) -> q.HnswConfigDiff:
    """Return the index's parameters: Qdrant's defaults, the collection's, the vector's own."""
    merged = q.HnswConfigDiff(
        m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0
    )
    merged.MergeFrom(config.hnsw_config)
    merged.MergeFrom(config.vectors_config.params.hnsw_config)
    return merged


def optimizers_config(config: q.CreateCollection) -> q.OptimizersConfigDiff:
    """Return the optimizer's parameters, with Qdrant's defaults; sizes are in kilobytes."""
    merged = q.OptimizersConfigDiff(
        deleted_threshold=0.2,
        vacuum_min_vector_number=1000,
        default_segment_number=0,
        indexing_threshold=DEFAULT_INDEXING_THRESHOLD_KB,
        flush_interval_sec=5,
    )
    merged.MergeFrom(config.optimizers_config)
    return merged


def collection_config(config: q.CreateCollection) -> q.CollectionConfig:
    """Return what Qdrant reports of a collection's parameters."""
    answer = q.CollectionConfig(
        params=q.CollectionParams(
            shard_number=1,
            on_disk_payload=True,
            vectors_config=config.vectors_config,
            replication_factor=1,
            write_consistency_factor=1,
        ),
        hnsw_config=hnsw_config(config),
        optimizer_config=optimizers_config(config),
        wal_config=q.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0),
    )
    if config.HasField("quantization_config"):
        answer.quantization_config.CopyFrom(config.quantization_config)
    for name, value in config.metadata.items():
        answer.metadata[name].CopyFrom(value)
    return answer


def index_is_due(config: q.CreateCollection, info: q.CollectionInfo) -> bool:
    """Say whether Qdrant would build an index for this many unindexed vectors.

    The threshold is in kilobytes of float32; 0 turns indexing off.
    """
    threshold = optimizers_config(config).indexing_threshold
    unindexed = info.points_count - info.indexed_vectors_count
    return threshold > 0 and unindexed * dimension(config) * 4 > threshold * 1024


def index(
    request: q.CreateFieldIndexCollection,
) -> (
    edge.PayloadSchemaType
    | edge.KeywordIndexParams
    | edge.IntegerIndexParams
    | edge.TextIndexParams
):
    """Return the payload index of a request.

    Raises UnsupportedError for an unknown kind and an unknown tokenizer.
    """
    if request.field_type not in _FIELD_TYPES:
        raise UnsupportedError(
            f"CreateFieldIndexCollection.field_type = {q.FieldType.Name(request.field_type)}"
            " is not supported by the embedded engine"
        )
    given = request.field_index_params
    if given.HasField("keyword_index_params"):
        keyword = given.keyword_index_params
        return edge.KeywordIndexParams(
            is_tenant=keyword.is_tenant if keyword.HasField("is_tenant") else None,
            on_disk=keyword.on_disk if keyword.HasField("on_disk") else None,
        )
    if given.HasField("integer_index_params"):
        integer = given.integer_index_params
        return edge.IntegerIndexParams(
            lookup=integer.lookup if integer.HasField("lookup") else None,
            range=integer.range if integer.HasField("range") else None,
        )
    if given.HasField("text_index_params"):
        return _text_index(given.text_index_params)
    return _FIELD_TYPES[request.field_type][0]


def _text_index(given: q.TextIndexParams) -> edge.TextIndexParams:
    if given.tokenizer not in _TOKENIZERS:
        raise UnsupportedError(
            f"TextIndexParams.tokenizer = {q.TokenizerType.Name(given.tokenizer)} is not supported"
            " by the embedded engine"
        )
    return edge.TextIndexParams(
        tokenizer=_TOKENIZERS[given.tokenizer],
        min_token_len=given.min_token_len if given.HasField("min_token_len") else None,
        max_token_len=given.max_token_len if given.HasField("max_token_len") else None,
        lowercase=given.lowercase if given.HasField("lowercase") else None,
        ascii_folding=given.ascii_folding if given.HasField("ascii_folding") else None,
        phrase_matching=given.phrase_matching if given.HasField("phrase_matching") else None,
        on_disk=given.on_disk if given.HasField("on_disk") else None,
    )


def index_info(info: edge.PayloadIndexInfo) -> q.PayloadSchemaInfo:
    """Return what Qdrant reports of a payload index."""
    kinds = {str(ours): theirs for ours, theirs in _FIELD_TYPES.values()}
    return q.PayloadSchemaInfo(data_type=kinds[str(info.data_type)], points=info.points)
