"""What the embedded server does not do is refused by name, never done differently."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from qdrant_client import grpc as q
from qdrant_client.grpc import collections_service_pb2, points_service_pb2

from landmarks.edge_server.services.methods import READS, WRITES
from landmarks.edge_server.settings import EdgeSettings
from landmarks.edge_server.supported_fields import _ALLOWED, refuse_unsupported
from landmarks.errors import ConfigurationError, UnsupportedError
from tests.support.stores import StoreUnderTest, unit_rows

NEAREST = q.Query(nearest=q.VectorInput(dense=q.DenseVector(data=[1.0])))

REFUSED = {
    "CreateCollection.shard_number": q.CreateCollection(shard_number=2),
    "CreateCollection.replication_factor": q.CreateCollection(replication_factor=2),
    "CreateCollection.write_consistency_factor": q.CreateCollection(write_consistency_factor=2),
    "CreateCollection.sharding_method": q.CreateCollection(sharding_method=q.ShardingMethod.Custom),
    "CreateCollection.sparse_vectors_config": q.CreateCollection(
        sparse_vectors_config=q.SparseVectorConfig()
    ),
    "CreateCollection.vectors_config.params_map": q.CreateCollection(
        vectors_config=q.VectorsConfig(params_map=q.VectorParamsMap())
    ),
    "CreateCollection.vectors_config.params.multivector_config": q.CreateCollection(
        vectors_config=q.VectorsConfig(
            params=q.VectorParams(multivector_config=q.MultiVectorConfig())
        )
    ),
    "CreateCollection.quantization_config.product": q.CreateCollection(
        quantization_config=q.QuantizationConfig(product=q.ProductQuantization())
    ),
    "UpsertPoints.shard_key_selector": q.UpsertPoints(shard_key_selector=q.ShardKeySelector()),
    "UpsertPoints.ordering.type": q.UpsertPoints(
        ordering=q.WriteOrdering(type=q.WriteOrderingType.Strong)
    ),
    "UpsertPoints.points.vectors.vectors.vectors": q.UpsertPoints(
        points=[
            q.PointStruct(vectors=q.Vectors(vectors=q.NamedVectors(vectors={"named": q.Vector()})))
        ]
    ),
    "UpsertPoints.points.vectors.vector.sparse": q.UpsertPoints(
        points=[q.PointStruct(vectors=q.Vectors(vector=q.Vector(sparse=q.SparseVector())))]
    ),
    "GetPoints.read_consistency": q.GetPoints(read_consistency=q.ReadConsistency(factor=2)),
    "SetPayloadPoints.key": q.SetPayloadPoints(key="a"),
    "QueryPoints.prefetch": q.QueryPoints(query=NEAREST, prefetch=[q.PrefetchQuery()]),
    "QueryPoints.lookup_from": q.QueryPoints(query=NEAREST, lookup_from=q.LookupLocation()),
    "QueryPoints.using": q.QueryPoints(query=NEAREST, using="other"),
    "QueryPoints.query.fusion": q.QueryPoints(query=q.Query(fusion=q.Fusion.RRF)),
    "QueryPoints.params.acorn": q.QueryPoints(params=q.SearchParams(acorn=q.AcornSearchParams())),
    "QueryPoints.filter.must.field.geo_polygon": q.QueryPoints(
        filter=q.Filter(
            must=[q.Condition(field=q.FieldCondition(key="a", geo_polygon=q.GeoPolygon()))]
        )
    ),
    "QueryBatchPoints.query_points.shard_key_selector": q.QueryBatchPoints(
        query_points=[q.QueryPoints(shard_key_selector=q.ShardKeySelector())]
    ),
    "ScrollPoints.order_by": q.ScrollPoints(order_by=q.OrderBy(key="a")),
    "UpdateBatchPoints.operations.delete_vectors": q.UpdateBatchPoints(
        operations=[q.PointsUpdateOperation(delete_vectors=q.PointsUpdateOperation.DeleteVectors())]
    ),
    "UpdateCollection.hnsw_config": q.UpdateCollection(hnsw_config=q.HnswConfigDiff(m=8)),
}


@pytest.mark.parametrize(("name", "message"), REFUSED.items(), ids=REFUSED.keys())
def test_a_field_that_is_not_honoured_is_refused_by_name(name: str, message):
    with pytest.raises(UnsupportedError, match=f"^{name}( = .+)? is not supported"):
        refuse_unsupported(message)


def test_the_only_value_that_can_be_honoured_is_not_refused():
    refuse_unsupported(
        q.CreateCollection(shard_number=1, replication_factor=1, write_consistency_factor=1)
    )
    refuse_unsupported(q.UpsertPoints(ordering=q.WriteOrdering(type=q.WriteOrderingType.Weak)))


def test_a_field_of_a_newer_protocol_is_refused():
    newer = q.DeleteCollection(collection_name="a", timeout=3).SerializeToString() + b"\xf8\x07\x01"
    with pytest.raises(UnsupportedError, match="does not know"):
        refuse_unsupported(q.DeleteCollection.FromString(newer))


def test_every_field_of_the_list_exists():
    """A name that Qdrant renames would otherwise refuse what it is meant to let in."""
    for name, allowed in _ALLOWED.items():
        kind = q
        for part in name.split("."):
            kind = getattr(kind, part)
        assert set(allowed) <= set(kind.DESCRIPTOR.fields_by_name), name


@pytest.fixture
def channel(embedded: StoreUnderTest) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{embedded.settings.qdrant_port}") as channel:
        yield channel


def _refusal(channel: grpc.Channel, method: str, request: bytes = b"") -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(method)(request, timeout=10)
    return caught.value


@pytest.mark.integration
def test_every_other_method_is_refused_by_name(channel: grpc.Channel):
    points = points_service_pb2.DESCRIPTOR.services_by_name["Points"].methods
    others = [f"/qdrant.Points/{one.name}" for one in points if one.name not in (*READS, *WRITES)]
    assert "/qdrant.Points/Recommend" in others
    collections = collections_service_pb2.DESCRIPTOR.services_by_name["Collections"].methods
    others += [
        f"/qdrant.Collections/{one.name}"
        for one in collections
        if "Shard" in one.name or "ClusterSetup" in one.name
    ]
    for method in others:
        error = _refusal(channel, method)
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert method[1:] in error.details()


@pytest.mark.integration
def test_refusals_arrive_over_the_wire(embedded: StoreUnderTest, channel: grpc.Channel):
    name = embedded.collection().name
    refused = q.GetPoints(collection_name=name, read_consistency=q.ReadConsistency(factor=2))
    error = _refusal(channel, "/qdrant.Points/Get", refused.SerializeToString())
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "GetPoints.read_consistency" in error.details()
    create = q.CreateCollection(collection_name=f"{embedded.gallery}x", shard_number=2)
    error = _refusal(channel, "/qdrant.Collections/Create", create.SerializeToString())
    assert "CreateCollection.shard_number = 2" in error.details()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("method", "request_", "complaint"),
    [
        ("Get", q.GetPoints(ids=[q.PointId(uuid="x")]), "UUID"),
        ("Get", q.GetPoints(ids=[q.PointId()]), "no id"),
        ("Query", q.QueryPoints(limit=0, query=NEAREST), "expected dim"),
        ("Scroll", q.ScrollPoints(limit=0), "limit"),
        ("Delete", q.DeletePoints(), "selects no points"),
        ("Count", q.CountPoints(filter=q.Filter(must=[q.Condition()])), "empty"),
        (
            "Count",
            q.CountPoints(
                filter=q.Filter(
                    must=[
                        q.Condition(field=q.FieldCondition(key="a b", match=q.Match(keyword="x")))
                    ]
                )
            ),
            "path",
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_invalid(
    embedded: StoreUnderTest, channel: grpc.Channel, method: str, request_, complaint: str
):
    request_.collection_name = embedded.collection().name
    error = _refusal(channel, f"/qdrant.Points/{method}", request_.SerializeToString())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
    assert complaint in error.details()


@pytest.mark.integration
def test_impossible_collections_are_invalid(embedded: StoreUnderTest, channel: grpc.Channel):
    good = q.VectorsConfig(params=q.VectorParams(size=4, distance=q.Distance.Cosine))
    for request in (
        q.CreateCollection(collection_name="a/b", vectors_config=good),
        q.CreateCollection(collection_name="", vectors_config=good),
        q.CreateCollection(collection_name=f"{embedded.gallery}x"),
        q.CreateCollection(
            collection_name=f"{embedded.gallery}x",
            vectors_config=q.VectorsConfig(params=q.VectorParams(distance=q.Distance.Cosine)),
        ),
    ):
        error = _refusal(channel, "/qdrant.Collections/Create", request.SerializeToString())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, request


@pytest.mark.integration
def test_older_clients_send_vectors_without_a_kind(embedded: StoreUnderTest, channel: grpc.Channel):
    name = embedded.collection().name
    row = unit_rows(1)[0].tolist()
    request = q.UpsertPoints(
        collection_name=name,
        wait=True,
        points=[q.PointStruct(id=q.PointId(num=1), vectors=q.Vectors(vector=q.Vector(data=row)))],
    )
    channel.unary_unary("/qdrant.Points/Upsert")(request.SerializeToString(), timeout=10)
    assert embedded.client.retrieve(name, [1], with_vectors=True)[0].vector == pytest.approx(
        row, abs=1e-6
    )


@pytest.mark.integration
def test_qdrants_own_health_check_is_answered(channel: grpc.Channel):
    answer = q.HealthCheckReply.FromString(channel.unary_unary("/qdrant.Qdrant/HealthCheck")(b""))
    assert answer.version.startswith("1.")


def test_tls_without_a_certificate_to_serve_with_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no LANDMARKS_TLS_CERTIFICATE to serve with"):
        EdgeSettings.load({"qdrant_tls": True})
