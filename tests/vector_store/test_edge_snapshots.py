"""A snapshot of the embedded server is whole, and searching goes on while it is taken."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from qdrant_client import models

from tests.support.edge import EdgeProcess, edge_process
from tests.support.processes import eventually
from tests.support.stores import StoreUnderTest, photo, photo_id, unit_rows
from vector_store.client import connect
from vector_store.points import Point
from vector_store.requests import Query
from vector_store.settings import VectorStoreSettings

pytestmark = pytest.mark.integration

ROWS = unit_rows(20_000)


def opened(server: EdgeProcess) -> StoreUnderTest:
    settings = VectorStoreSettings.load({"qdrant_port": server.port})
    return StoreUnderTest("embedded", connect(settings), settings, "kept")


def points(numbers: range) -> list[Point]:
    return [Point(photo_id(n), ROWS[n], photo(n).to_payload()) for n in numbers]


def test_a_snapshot_has_all_that_was_acknowledged_and_of_what_came_meanwhile_a_beginning(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    acknowledged = [0]
    stop = threading.Event()
    with edge_process(data) as server:
        store = opened(server)
        name = store.collection().name
        store.points.upsert(name, points(range(100)))
        acknowledged[0] = 100
        searches: list[int] = []

        def write() -> None:
            while not stop.is_set() and acknowledged[0] < len(ROWS):
                store.points.upsert(name, points(range(acknowledged[0], acknowledged[0] + 10)))
                acknowledged[0] += 10

        def search() -> None:
            own = opened(server)
            while not stop.is_set():
                [hits] = own.points.query(name, [Query(ROWS[5], limit=1)])
                searches.append(hits[0].id == photo_id(5))
            own.client.close()

        threads = [threading.Thread(target=one) for one in (write, search)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            before = acknowledged[0]
            snapshot = store.client.create_full_snapshot()
            after = acknowledged[0]
            assert snapshot is not None
            assert snapshot.size > 0
            folder = data / "snapshots" / snapshot.name
        stop.set()
        for thread in threads:
            thread.join()
        assert all(searches)
        assert len(searches) > 3
        assert store.points.count(name) == acknowledged[0]
        store.client.close()
    assert list((data / "snapshots").iterdir()) == [folder], "earlier ones are gone"
    with edge_process(folder) as server:
        store = opened(server)
        count = store.points.count(f"{store.gallery}__vgg16")
        # The last batch may have been stored and not yet acknowledged when it was counted.
        assert before <= count <= after + 10
        whole = store.points.payloads(name, [photo_id(n) for n in range(count)])
        assert len(whole) == count, "there is a hole in what was written one after another"
        [hits] = store.points.query(name, [Query(ROWS[count - 1], limit=1)])
        assert hits[0].id == photo_id(count - 1)
        store.client.close()


def test_snapshots_and_the_building_of_an_index_do_not_get_in_each_other_s_way(
    tmp_path: Path,
) -> None:
    rows = unit_rows(3_000, 64)
    settings = {"LANDMARKS_EDGE_OPTIMIZE_AFTER_SECONDS": "0.1"}
    with edge_process(tmp_path / "data", settings=settings) as server:
        store = opened(server)
        name = store.collection(64).name
        store.client.update_collection(
            name, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=100)
        )
        for start in range(0, len(rows), 500):
            store.points.upsert(
                name,
                [
                    Point(photo_id(n), rows[n], photo(n).to_payload())
                    for n in range(start, start + 500)
                ],
            )

        def built_while_snapshots_are_taken() -> bool:
            assert store.client.create_full_snapshot() is not None
            return store.client.get_collection(name).indexed_vectors_count == len(rows)

        eventually(built_while_snapshots_are_taken, "the index is built")
        snapshot = store.client.create_full_snapshot()
        assert snapshot is not None
        folder = tmp_path / "data" / "snapshots" / snapshot.name
        store.client.close()
        with edge_process(folder) as second:
            copy = opened(second)
            info = copy.client.get_collection(name)
            assert (info.points_count, info.indexed_vectors_count) == (3_000, 3_000)
            copy.client.close()
