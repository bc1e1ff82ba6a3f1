"""An index is built beside a collection that goes on serving, and nothing is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from landmarks.vector_store.client import connect
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import FloatVector, Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import EdgeProcess, edge_process
from tests.support.stores import unit_rows

pytestmark = pytest.mark.integration

SOON = {"LANDMARKS_EDGE_OPTIMIZE_AFTER_SECONDS": "0.2"}
DIMENSION = 64
COUNT = 2000
ROWS = unit_rows(4000, DIMENSION)


@contextmanager
def _serving(data: Path) -> Iterator[tuple[EdgeProcess, QdrantClient, PointStore]]:
    with edge_process(data, settings=SOON) as server:
        settings = VectorStoreSettings.load({"qdrant_port": server.port})
        with closing(connect(settings)) as client:
            yield server, client, PointStore(client, settings)


def _point(number: int, row: FloatVector) -> Point:
    return Point(UUID(int=number), row, {"landmark": f"l{number % 7}", "number": number})


def _create(client: QdrantClient, name: str, threshold_kilobytes: int) -> None:
    client.create_collection(
        name,
        models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=threshold_kilobytes),
        hnsw_config=models.HnswConfigDiff(full_scan_threshold=10),
    )
    client.create_payload_index(name, "landmark", models.PayloadSchemaType.KEYWORD)


def _wait_until_indexed(client: QdrantClient, name: str) -> None:
    for _ in range(600):
        info = client.get_collection(name)
        if info.indexed_vectors_count and info.status == models.CollectionStatus.GREEN:
            return
        time.sleep(0.05)
    raise AssertionError(f"no index was built: {info}")


@pytest.mark.slow
def test_searches_and_writes_go_on_while_an_index_is_built(tmp_path: Path):
    with _serving(tmp_path) as (server, client, store):
        _create(client, "busy", threshold_kilobytes=100)
        for start in range(0, COUNT, 500):
            store.upsert("busy", [_point(n, ROWS[n]) for n in range(start, start + 500)])

        expected = {n: ROWS[n] for n in range(COUNT)}
        changed, seen = 0, set()
        info = client.get_collection("busy")
        while not info.indexed_vectors_count:
            assert changed < 600, info
            seen.add(info.status)
            if info.status == models.CollectionStatus.YELLOW and changed < 300:
                time.sleep(0.25)  # quiet long enough for the build to begin
            new, old = COUNT + changed, changed
            store.upsert("busy", [_point(new, ROWS[new]), _point(old, ROWS[-1 - old])])
            store.delete("busy", [UUID(int=old + 1000)])
            expected |= {new: ROWS[new], old: ROWS[-1 - old]}
            expected.pop(old + 1000, None)
            changed += 1
            assert store.query("busy", [Query(ROWS[new], limit=1)])[0][0].id == UUID(int=new)
            info = client.get_collection("busy")
        assert models.CollectionStatus.YELLOW in seen
        _check(store, expected)

        server.kill()

    with _serving(tmp_path) as (_, client, store):
        assert client.get_collection("busy").indexed_vectors_count
        _check(store, expected)
        assert {one.value for one in store.facet("busy", "landmark")} == {f"l{n}" for n in range(7)}
    assert len(_shard_folders(tmp_path)) == 1


def _shard_folders(data: Path) -> set[Path]:
    return {one for one in (data / "shards").iterdir() if one.is_dir()}


def _check(store: PointStore, expected: dict[int, FloatVector]) -> None:
    assert {point.id.int for point in store.scan("busy")} == set(expected)
    numbers = np.array(sorted(expected))
    rows = np.stack([expected[int(n)] for n in numbers])
    for row in unit_rows(10, DIMENSION, seed=3):
        best = numbers[np.argsort(-(rows @ row))[:10]]
        exact, found = store.query("busy", [Query(row, exact=True), Query(row, hnsw_ef=256)])
        assert [hit.id.int for hit in exact] == [int(n) for n in best]
        assert len({hit.id.int for hit in found} & {int(n) for n in best}) >= 8


def test_a_small_collection_is_scanned_and_stays_green(tmp_path: Path):
    with _serving(tmp_path) as (_, client, store):
        _create(client, "small", threshold_kilobytes=20_000)
        store.upsert("small", [_point(n, ROWS[n]) for n in range(500)])
        time.sleep(1)
        info = client.get_collection("small")
        assert (info.status, info.indexed_vectors_count) == (models.CollectionStatus.GREEN, 0)


def test_points_without_vectors_make_no_index_due(tmp_path: Path):
    with _serving(tmp_path) as (_, client, store):
        _create(client, "marks", threshold_kilobytes=10)
        bare = [models.PointStruct(id=n, vector={}, payload={}) for n in range(1, 200)]
        client.upsert("marks", bare, wait=True)
        before = _shard_folders(tmp_path)
        for _ in range(600):
            if client.get_collection("marks").status == models.CollectionStatus.GREEN:
                break
            time.sleep(0.05)
        assert client.get_collection("marks").status == models.CollectionStatus.GREEN
        assert _shard_folders(tmp_path) == before, "it was copied, to build an index of nothing"
        store.upsert("marks", [_point(n, ROWS[n]) for n in range(1000, 1200)])
        _wait_until_indexed(client, "marks")


@pytest.mark.slow
def test_a_collection_can_be_dropped_while_its_index_is_built(tmp_path: Path):
    with _serving(tmp_path) as (_, client, store):
        # The other's index is not due before the first is being built.
        for name, kilobytes in (("kept", 100_000), ("dropped", 100)):
            _create(client, name, kilobytes)
        itself = _shard_folders(tmp_path)
        for name in ("kept", "dropped"):
            store.upsert(name, [_point(n, ROWS[n]) for n in range(COUNT)])
        deadline = time.monotonic() + 30
        while _shard_folders(tmp_path) == itself:  # no copy that an index is built on
            assert time.monotonic() < deadline, client.get_collection("dropped")
            time.sleep(0.01)
        due = models.OptimizersConfigDiff(indexing_threshold=100)
        client.update_collection("kept", optimizers_config=due)
        assert not client.get_collection("dropped").indexed_vectors_count
        client.delete_collection("dropped")
        _wait_until_indexed(client, "kept")
        assert [one.name for one in client.get_collections().collections] == ["kept"]
        assert store.count("kept") == COUNT
