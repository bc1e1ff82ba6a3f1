"""What callers get while nodes of Qdrant's cluster are away, and where a collection is not safe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from qdrant_client import grpc as q

from landmarkapi.indexing.v1.indexing_pb2 import ListCollectionsRequest
from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import UnavailableError
from landmarks.vector_store.settings import VectorStoreSettings
from search_service import health
from tests.support.scripted_qdrant import Failure, ScriptedQdrant, scripted_qdrant
from tests.support.search_stack import (
    GALLERY,
    Qdrant,
    draw,
    error_of,
    eventually,
    stack_running,
)

pytestmark = pytest.mark.integration

AWAY = max(
    json.loads(
        (
            Path(__file__).parents[2] / "landmarks/vector_store/internal_errors_of_a_cluster.json"
        ).read_text()
    ),
    key=len,
)
REQUEST = pb.SearchRequest(gallery=GALLERY, photo=draw("Atomium", 99))
METRIC = "landmarks_collection_unsafe_layout"


@pytest.fixture
def scripted(qdrant: Qdrant) -> Iterator[ScriptedQdrant]:
    with scripted_qdrant(qdrant.settings.qdrant_port) as script:
        yield script


def through(script: ScriptedQdrant) -> VectorStoreSettings:
    return VectorStoreSettings(qdrant_port=script.port, qdrant_timeout_seconds=10)


@pytest.mark.parametrize(
    "method", ["Collections/ListAliases", "Collections/Get", "Points/QueryBatch"]
)
async def test_a_search_is_unavailable_while_nodes_are_away_and_not_for_longer(
    scripted: ScriptedQdrant, method: str
) -> None:
    async with stack_running(through(scripted)) as stack:
        scripted.failures = {method: Failure(AWAY, times=1000)}
        error = await error_of(stack.search.Search(REQUEST, timeout=20))
        assert isinstance(error, UnavailableError)
        assert "cluster" in str(error)
        scripted.failures = {}
        assert (await stack.search.Search(REQUEST, timeout=20)).verdict.landmark == "Atomium"


async def test_collections_are_listed_while_nodes_are_away(scripted: ScriptedQdrant) -> None:
    async with stack_running(through(scripted)) as stack:
        scripted.failures = {"Collections/Get": Failure(AWAY, times=1000)}
        listed = (await stack.indexing.ListCollections(ListCollectionsRequest())).collections
        assert [one.gallery for one in listed if "cluster" in one.problem].count(GALLERY) == 2


async def test_a_collection_whose_copies_can_differ_is_named_until_that_is_changed(
    scripted: ScriptedQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_COLLECTIONS_SECONDS", 0.0)
    needed = 2

    def laid_out(answer: bytes) -> bytes:
        message = q.GetCollectionInfoResponse.FromString(answer)
        message.result.config.params.replication_factor = 2
        message.result.config.params.write_consistency_factor = needed
        return message.SerializeToString()

    def copies(_request: bytes) -> bytes:
        answer = q.CollectionClusterInfoResponse(shard_count=1)
        answer.local_shards.add(shard_id=0)
        answer.remote_shards.add(shard_id=0, peer_id=2)
        return answer.SerializeToString()

    scripted.rewritten["Collections/Get"] = laid_out
    scripted.answers["Collections/CollectionClusterInfo"] = copies
    async with stack_running(through(scripted)) as stack:
        request = ListCollectionsRequest(gallery=GALLERY)
        listed = (await stack.indexing.ListCollections(request)).collections
        assert len(listed) == 2
        for one in listed:
            assert f"--fix-layout {one.name}" in one.unsafe_layout
            assert (one.status, one.problem) == ("green", "")
        name = listed[0].name

        async def shown(value: float) -> bool:
            return REGISTRY.get_sample_value(METRIC, {"collection": name}) == value

        await eventually(lambda: shown(1), "the metric names it")
        needed = 1
        listed = (await stack.indexing.ListCollections(request)).collections
        assert [one.unsafe_layout for one in listed] == ["", ""]
        await eventually(lambda: shown(0), "the metric calls it safe")
