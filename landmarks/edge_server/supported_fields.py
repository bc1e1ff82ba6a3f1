"""The fields of Qdrant's requests that are honoured; any other is refused by its name.

An engine that silently ignores a field answers another question than the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from landmarks.errors import UnsupportedError

_Check = Callable[[Any], bool]  # a field's value is of whatever type the message declares


def _only(*values: object) -> _Check:
    return lambda given: given in values


def _any(_given: object) -> bool:
    return True


def _fields(names: str, **limited: _Check) -> dict[str, _Check]:
    return {**dict.fromkeys(names.split(), _any), **limited}


_WRITE = "collection_name wait ordering timeout "
_READ = "collection_name timeout "

# By message. The time limit in a request is the same as the deadline of its call, which holds.
_ALLOWED: Mapping[str, Mapping[str, _Check]] = {
    # Points
    "UpsertPoints": _fields(_WRITE + "points update_filter update_mode"),
    "DeletePoints": _fields(_WRITE + "points"),
    "GetPoints": _fields(_READ + "ids with_payload with_vectors"),
    "SetPayloadPoints": _fields(_WRITE + "payload points_selector"),
    "DeletePayloadPoints": _fields(_WRITE + "keys points_selector"),
    "ClearPayloadPoints": _fields(_WRITE + "points"),
    "CreateFieldIndexCollection": _fields(_WRITE + "field_name field_type field_index_params"),
    "DeleteFieldIndexCollection": _fields(_WRITE + "field_name"),
    "ScrollPoints": _fields(_READ + "filter offset limit with_payload with_vectors"),
    "CountPoints": _fields(_READ + "filter exact"),
    "FacetCounts": _fields(_READ + "key filter limit exact"),
    "QueryPoints": _fields(
        _READ + "query filter params score_threshold limit offset with_vectors with_payload",
        using=_only(""),
    ),
    "QueryBatchPoints": _fields(_READ + "query_points"),
    "UpdateBatchPoints": _fields(_WRITE + "operations"),
    "PointsUpdateOperation": _fields(
        "upsert set_payload overwrite_payload delete_payload delete_points clear_payload"
    ),
    "PointsUpdateOperation.PointStructList": _fields("points update_filter update_mode"),
    "PointsUpdateOperation.SetPayload": _fields("payload points_selector"),
    "PointsUpdateOperation.OverwritePayload": _fields("payload points_selector"),
    "PointsUpdateOperation.DeletePayload": _fields("keys points_selector"),
    "PointsUpdateOperation.DeletePoints": _fields("points"),
    "PointsUpdateOperation.ClearPayload": _fields("points"),
    # Parts of those
    "WriteOrdering": _fields("", type=_only(0)),
    "PointStruct": _fields("id payload vectors"),
    "PointId": _fields("num uuid"),
    "Vectors": _fields("vector vectors"),
    "NamedVectors": {},  # a point that has none of them has no vector at all
    "Vector": _fields("dense data"),
    "DenseVector": _fields("data"),
    "PointsSelector": _fields("points filter"),
    "PointsIdsList": _fields("ids"),
    "WithPayloadSelector": _fields("enable include exclude"),
    "PayloadIncludeSelector": _fields("fields"),
    "PayloadExcludeSelector": _fields("fields"),
    "WithVectorsSelector": _fields("enable"),
    "Query": _fields("nearest"),
    "VectorInput": _fields("id dense"),
    "SearchParams": _fields("hnsw_ef exact quantization indexed_only"),
    "QuantizationSearchParams": _fields("ignore rescore oversampling"),
    "Filter": _fields("should must must_not min_should"),
    "MinShould": _fields("conditions min_count"),
    "Condition": _fields("field is_empty has_id filter is_null nested has_vector"),
    "HasVectorCondition": _fields("has_vector"),
    "IsEmptyCondition": _fields("key"),
    "IsNullCondition": _fields("key"),
    "HasIdCondition": _fields("has_id"),
    "NestedCondition": _fields("key filter"),
    "FieldCondition": _fields(
        "key match range datetime_range geo_bounding_box geo_radius is_empty is_null"
    ),
    "GeoBoundingBox": _fields("top_left bottom_right"),
    "GeoRadius": _fields("center radius"),
    "GeoPoint": _fields("lon lat"),
    "Match": _fields(
        "keyword integer boolean text keywords integers except_integers except_keywords"
    ),
    "RepeatedStrings": _fields("strings"),
    "RepeatedIntegers": _fields("integers"),
    "Range": _fields("lt gt gte lte"),
    "DatetimeRange": _fields("lt gt gte lte"),
    "PayloadIndexParams": _fields(
        "keyword_index_params integer_index_params float_index_params bool_index_params"
        " datetime_index_params uuid_index_params text_index_params geo_index_params"
    ),
    "KeywordIndexParams": _fields("is_tenant on_disk"),
    "IntegerIndexParams": _fields("lookup range"),
    "FloatIndexParams": {},
    "BoolIndexParams": {},
    "DatetimeIndexParams": {},
    "UuidIndexParams": {},
    "GeoIndexParams": {},
    "TextIndexParams": _fields(
        "tokenizer lowercase min_token_len max_token_len phrase_matching ascii_folding on_disk"
    ),
    # Collections
    "CreateCollection": _fields(
        "collection_name hnsw_config optimizers_config timeout vectors_config quantization_config"
        " metadata",
        shard_number=_only(1),
        replication_factor=_only(1),
        write_consistency_factor=_only(1),
        sharding_method=_only(0),
    ),
    "UpdateCollection": _fields("collection_name timeout metadata optimizers_config"),
    "VectorsConfig": _fields("params"),
    "VectorParams": _fields("size distance on_disk", datatype=_only(0, 1)),
    "HnswConfigDiff": _fields("m ef_construct full_scan_threshold max_indexing_threads payload_m"),
    "OptimizersConfigDiff": _fields(
        "deleted_threshold vacuum_min_vector_number default_segment_number max_segment_size"
        " indexing_threshold"
    ),
    "QuantizationConfig": _fields("scalar"),
    "ScalarQuantization": _fields("type quantile always_ram"),
    "GetCollectionInfoRequest": _fields("collection_name"),
    "CollectionClusterInfoRequest": _fields("collection_name"),
    "CollectionExistsRequest": _fields("collection_name"),
    "ListCollectionsRequest": {},
    "DeleteCollection": _fields("collection_name timeout"),
    "ChangeAliases": _fields("actions timeout"),
    "AliasOperations": _fields("create_alias rename_alias delete_alias"),
    "CreateAlias": _fields("collection_name alias_name"),
    "RenameAlias": _fields("old_alias_name new_alias_name"),
    "DeleteAlias": _fields("alias_name"),
    "ListAliasesRequest": {},
    "ListCollectionAliasesRequest": _fields("collection_name"),
    "HealthCheckRequest": {},
    "CreateFullSnapshotRequest": {},
}


def refuse_unsupported(message: Message, path: str = "") -> None:
    """Raise UnsupportedError that names the first field set in `message` that is not honoured.

    Fields are also refused if their value cannot be honoured, and inside nested messages. Payload
    and metadata are the caller's own and are not checked.
    """
    name = message.DESCRIPTOR.full_name.removeprefix("qdrant.")
    allowed = _ALLOWED.get(name)
    for field, value in message.ListFields():
        here = f"{path or name}.{field.name}"
        check = allowed.get(field.name) if allowed is not None else None
        if check is None:
            raise UnsupportedError(f"{here} is not supported by the embedded engine")
        if not check(value):
            raise UnsupportedError(f"{here} = {value} is not supported by the embedded engine")
        if field.type != FieldDescriptor.TYPE_MESSAGE or _is_free(field):
            continue
        for part in value if field.is_repeated else (value,):
            refuse_unsupported(part, here)
    if len(UnknownFieldSet(message)):
        raise UnsupportedError(
            f"{path or name} has fields that this version of the embedded engine does not know"
        )


def _is_free(field: FieldDescriptor) -> bool:
    kind = field.message_type
    if kind is None:
        return True
    return kind.GetOptions().map_entry or kind.full_name == "google.protobuf.Timestamp"
