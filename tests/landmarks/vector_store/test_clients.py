"""How Qdrant is reached: over gRPC alone, and with errors that say where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import grpc
import httpx
import numpy as np
import pytest
from qdrant_client import grpc as q
from qdrant_client import models

from landmarks.errors import (
    DiskFullError,
    InvalidInputError,
    LandmarksError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    UnsupportedError,
)
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.filters import Equals, Filter
from landmarks.vector_store.payload_indexes import INDEXED_FIELDS
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import PhotoPayload, Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.ports import free_port
from tests.support.stores import DIGEST, StoreUnderTest, photo, photo_id, unit_rows


async def test_a_collection_that_cannot_be_read_is_listed_with_its_problem(
    wire_engine: StoreUnderTest,
) -> None:
    ours = await asyncio.to_thread(wire_engine.collection)
    foreign = f"{wire_engine.gallery}__vgg16__00000000"  # named as one of ours, and not made by us
    await asyncio.to_thread(
        wire_engine.client.create_collection,
        foreign,
        models.VectorParams(size=4, distance=models.Distance.COSINE),
    )
    store = SearchStore(wire_engine.settings)
    for states in (
        wire_engine.collections.states(wire_engine.gallery),
        await store.states(wire_engine.gallery),
    ):
        found = {one.lineage.name: one for one in states}
        assert found.keys() == {ours.name, foreign}
        assert (found[ours.name].status, found[ours.name].problem) == ("green", "")
        assert found[foreign].status == "red"
        assert "was not made by this program" in found[foreign].problem
    await store.close()


@pytest.fixture
def nowhere() -> VectorStoreSettings:
    return VectorStoreSettings.load({"qdrant_port": free_port(), "qdrant_timeout_seconds": 5})


def test_an_unreachable_qdrant_is_unavailable_and_named(nowhere: VectorStoreSettings):
    client = connect(nowhere)
    for call in (
        lambda: Collections(client, nowhere).live("sample", "vgg16"),
        lambda: PointStore(client, nowhere).count("sample__vgg16"),
        lambda: PointStore(client, nowhere).query("sample__vgg16", [Query(photo_id(1))]),
    ):
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{nowhere.qdrant_port}"):
            call()
    client.close()


async def test_the_same_on_the_event_loop(nowhere: VectorStoreSettings):
    store = SearchStore(nowhere)
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{nowhere.qdrant_port}"):
        await store.live_of("sample")
    with pytest.raises(UnavailableError):
        await store.query("sample__vgg16", [Query(photo_id(1))])
    with pytest.raises(UnavailableError):
        await store.ping()
    await store.close()


def test_another_service_in_qdrants_place_is_recognised():
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    settings = VectorStoreSettings.load({"qdrant_port": port})
    client = connect(settings)
    try:
        with pytest.raises(UnsupportedError, match=f"{port}.*Is that address Qdrant's"):
            PointStore(client, settings).count("sample__vgg16")
    finally:
        client.close()
        server.stop(None)


class Overloaded(q.PointsServicer):
    """Refuses as a Qdrant under strict mode does, and notes who asked."""

    def __init__(self) -> None:
        self.keys: list[object] = []

    def QueryBatch(self, request: q.QueryBatchPoints, context: grpc.ServicerContext):  # noqa: N802
        self.keys += [value for key, value in context.invocation_metadata() if key == "api-key"]
        context.set_trailing_metadata((("retry-after", "7"),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests")


async def test_an_overloaded_qdrant_says_when_to_retry_and_receives_the_key():
    servicer = Overloaded()
    server = grpc.server(ThreadPoolExecutor(1))
    q.points_service_pb2_grpc.add_PointsServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    settings = VectorStoreSettings.load({"qdrant_port": port, "qdrant_api_key": "a-key"})
    store, client = SearchStore(settings), connect(settings)
    queries = [Query(photo_id(1))]
    with pytest.raises(OverloadedError, match="too many requests") as on_the_loop:
        await store.query("sample__vgg16", queries)
    with pytest.raises(OverloadedError, match="too many requests") as in_a_thread:
        await asyncio.to_thread(PointStore(client, settings).query, "sample__vgg16", queries)
    await store.close()
    client.close()
    server.stop(None)
    assert (on_the_loop.value.retry_after, in_a_thread.value.retry_after) == (7.0, 7.0)
    assert servicer.keys == ["a-key", "a-key"]


class Failing(q.PointsServicer):
    """Fails as a Qdrant server of 1.18.3 was seen to fail."""

    words = ""

    def Count(self, request: q.CountPoints, context: grpc.ServicerContext):  # noqa: N802
        context.abort(grpc.StatusCode.INTERNAL, f"Service internal error: {self.words}")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            "Tonic status error: code: 'The service is currently unavailable', message:"
            ' "tcp connect error"',
            UnavailableError,
        ),
        (
            "The replica set for shard 0 on peer 7 does not have enough active replicas",
            UnavailableError,
        ),
        (
            "Waiting for consensus operation commit failed. Timeout set at: 10 seconds",
            UnavailableError,
        ),
        ("No space left on device: WAL buffer size exceeds available disk space", DiskFullError),
        ("index out of bounds", LandmarksError),
    ],
)
def test_a_fault_of_qdrant_that_will_pass_is_none_that_will_not(
    words: str, kind: type[LandmarksError]
):
    servicer = Failing()
    servicer.words = words
    server = grpc.server(ThreadPoolExecutor(1))
    q.points_service_pb2_grpc.add_PointsServicer_to_server(servicer, server)
    settings = VectorStoreSettings.load({"qdrant_port": server.add_insecure_port("127.0.0.1:0")})
    server.start()
    client = connect(settings)
    try:
        with pytest.raises(LandmarksError) as failed:
            PointStore(client, settings).count("sample__vgg16")
    finally:
        client.close()
        server.stop(None)
    assert type(failed.value) is kind
    assert words in str(failed.value)


def test_no_call_falls_back_to_rest(
    wire_engine: StoreUnderTest, monkeypatch: pytest.MonkeyPatch, stored
):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a call went over REST")

    monkeypatch.setattr(httpx.Client, "send", refuse)
    collections, points = wire_engine.collections, wire_engine.points
    name, rows = stored(wire_engine, 20)
    other = collections.create_beside(wire_engine.gallery, "vgg16", "cd" * 32, 4)
    collections.promote(other.name)
    collections.promote(name)
    collections.states()
    collections.drop(other.name)
    points.query(name, [Query(rows[0]), Query(photo_id(2), exact=True)])
    points.payloads(name, [photo_id(1)])
    points.set_payload(name, [photo_id(1)], {"stale": True})
    points.overwrite_payloads(name, {photo_id(1): photo(1).to_payload()})
    points.facet(name, "landmark")
    list(points.scan(name))
    wire_engine.writes.delete(name, 1, [photo_id(3)])
    wire_engine.writes.delete_where(name, 2, Filter(must=(Equals("source", "photos"),)))
    assert points.count(name) == 10


@pytest.fixture
async def search(wire_engine: StoreUnderTest) -> AsyncIterator[SearchStore]:
    store = SearchStore(wire_engine.settings)
    yield store
    await store.close()


@pytest.mark.integration
async def test_the_search_service_finds_what_the_indexer_stored(
    wire_engine: StoreUnderTest, search: SearchStore
):
    lineage = await asyncio.to_thread(wire_engine.collection)
    rows = unit_rows(40)
    points = [Point(photo_id(n), rows[n], photo(n).to_payload()) for n in range(40)]
    await asyncio.to_thread(wire_engine.points.upsert, lineage.name, points)

    [live] = await search.live_of(wire_engine.gallery)
    assert live.lineage == lineage
    assert set(live.kinds.values()) == {"keyword"}
    assert live.value_fields == set(INDEXED_FIELDS)
    assert wire_engine.gallery in await search.galleries()
    (state,) = await search.states(wire_engine.gallery)
    assert (state.lineage.digest, state.live, state.status, state.points) == (
        DIGEST,
        True,
        "green",
        40,
    )
    by_vector, by_id = await search.query(
        lineage.name, [Query(rows[5], limit=3), Query(photo_id(5), limit=3)], timeout_seconds=5
    )
    assert by_vector[0].id == photo_id(5)
    assert [hit.id for hit in by_vector[1:]] == [hit.id for hit in by_id[:2]]
    found = await search.point(lineage.name, photo_id(7))
    assert PhotoPayload.from_payload(found.payload) == photo(7)
    assert await search.count(lineage.name, Filter(must=(Equals("source", "photos"),))) == 20
    assert sum(one.count for one in await search.facet(lineage.name, "source")) == 40
    assert await search.query(lineage.name, []) == []


@pytest.mark.integration
async def test_missing_collections_and_points_are_not_found(
    wire_engine: StoreUnderTest, search: SearchStore
):
    assert await search.live_of(wire_engine.gallery) == []
    name = (await asyncio.to_thread(wire_engine.collection)).name
    with pytest.raises(NotFoundError, match="no point"):
        await search.point(name, uuid4())
    with pytest.raises(InvalidInputError, match="expected dim"):
        await search.query(name, [Query(unit_rows(1, dimension=3)[0])])


@pytest.mark.integration
async def test_searches_find_the_same_through_qdrants_messages_and_through_its_client(
    wire_engine: StoreUnderTest, search: SearchStore
):
    lineage = await asyncio.to_thread(wire_engine.collection)
    rows = unit_rows(40)
    odd = {"none": None, "list": [1, "two", 3.5, [True]], "nested": {"a": {"b": -1}}, "π": "π"}
    points = [Point(photo_id(n), rows[n], {**photo(n).to_payload(), **odd}) for n in range(40)]
    await asyncio.to_thread(wire_engine.points.upsert, lineage.name, points)
    some = Filter(must=(Equals("source", "photos"),))
    queries = [
        Query(rows[0]),
        Query(photo_id(1), limit=5, offset=2),
        Query(rows[2], filter=some, without=(photo_id(3), photo_id(5))),
        Query(rows[4], score_threshold=0.2, exact=True),
        Query(rows[6], hnsw_ef=64, oversampling=2.0, with_payload=False),
        Query(rows[7], fields=("landmark", "nested", "nowhere"), with_vectors=True),
        Query(photo_id(8), filter=some, limit=40),
    ]
    found = await search.query(lineage.name, queries)
    expected = await asyncio.to_thread(wire_engine.points.query, lineage.name, queries)
    assert found == expected
    assert [len(hits) for hits in found][:2] == [10, 5]
    for ours, theirs in zip(found[5], expected[5], strict=True):
        assert np.array_equal(ours.vector, theirs.vector)
    payload = found[0][0].payload
    assert dict(payload) == {**photo(0).to_payload(), **odd}
    # What is not there is not made by looking for it.
    assert payload.get("nowhere") is None
    assert "nowhere" not in payload
    assert len(payload) == len(dict(payload))
    with pytest.raises(KeyError):
        payload["nowhere"]
