"""A snapshot of the embedded server is whole, and searching goes on while it is taken."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import models

from landmarks.vector_store.client import connect
from landmarks.vector_store.points import Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import EdgeProcess, edge_process
from tests.support.files import on_disk
from tests.support.processes import eventually
from tests.support.stores import StoreUnderTest, photo, photo_id, unit_rows

pytestmark = pytest.mark.integration

DIMENSION = 512
POINTS, BATCH = 600, 100
ROWS = unit_rows(2_000, DIMENSION)


def opened(server: EdgeProcess) -> StoreUnderTest:
    settings = VectorStoreSettings.load({"qdrant_port": server.port})
    return StoreUnderTest("embedded", connect(settings), settings, "kept")


def round_of(turn: int, start: int) -> list[Point]:
    """A batch of points as they are written in one turn: vector and payload say which."""
    row = ROWS[turn % len(ROWS)]
    return [Point(photo_id(n), row, {"turn": turn}) for n in range(start, start + BATCH)]


@pytest.mark.slow
def test_a_snapshot_has_all_acknowledged_writes_and_a_prefix_of_later_ones(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    acknowledged: list[int] = []
    searches: list[bool] = []
    stop = threading.Event()
    with edge_process(data) as server:
        store = opened(server)
        name = store.collection(DIMENSION).name

        def write() -> None:
            for batch in itertools.count():
                if stop.is_set():
                    return
                turn, place = divmod(batch, POINTS // BATCH)
                store.points.upsert(name, round_of(turn, place * BATCH))
                acknowledged.append(batch)

        def search() -> None:
            own = opened(server)
            while not stop.is_set():
                [hits] = own.points.query(name, [Query(ROWS[5], limit=1)])
                searches.append(len(hits) == 1)
            own.client.close()

        writing, searching = threading.Thread(target=write), threading.Thread(target=search)
        writing.start()
        eventually(lambda: len(acknowledged) >= POINTS // BATCH, "every point is there once")
        searching.start()
        snapshots = []
        for number in range(3):
            before = len(acknowledged)
            snapshot = store.client.create_full_snapshot()
            assert snapshot is not None
            assert snapshot.size > 0
            # The last batch may have been stored and not yet acknowledged when it was counted.
            between = range(before, len(acknowledged) + 2)
            assert [one.name for one in (data / "snapshots").iterdir()] == [snapshot.name]
            kept = (data / "snapshots" / snapshot.name).rename(tmp_path / f"kept-{number}")
            snapshots.append((between, kept))
        stop.set()
        writing.join()
        searching.join()
        assert all(searches)
        assert searches
        store.client.close()
    for between, folder in snapshots:
        assert _batches_in(folder, name) in between


def _batches_in(folder: Path, name: str) -> int:
    """Return how many batches there are in a snapshot, where that is what there is."""
    with edge_process(folder) as server:
        store = opened(server)
        found, _ = store.client.scroll(name, limit=POINTS + 1, with_vectors=True)
        store.client.close()
    assert len(found) == POINTS
    turns = {str(one.id): one.payload["turn"] for one in found}
    for one in found:
        stored = np.asarray(one.vector, dtype=np.float32)
        assert np.allclose(stored, ROWS[one.payload["turn"] % len(ROWS)], atol=1e-6)
    in_order = [turns[str(photo_id(n))] for n in range(POINTS)]
    assert in_order == sorted(in_order, reverse=True), "a later batch is there, an earlier is not"
    last = in_order[0]
    assert set(in_order) <= {last, last - 1}
    return last * (POINTS // BATCH) + in_order.count(last) // BATCH


@pytest.mark.slow
def test_snapshots_and_index_builds_do_not_disturb_each_other(
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


def test_a_snapshot_takes_no_more_disk_than_its_original(tmp_path: Path) -> None:
    with edge_process(tmp_path / "data") as server:
        store = opened(server)
        store.points.upsert(store.collection(DIMENSION).name, round_of(0, 0))
        snapshot = store.client.create_full_snapshot()
        assert snapshot is not None
        store.client.close()
        taken = on_disk(tmp_path / "data" / "snapshots" / snapshot.name)
        assert taken <= on_disk(tmp_path / "data" / "shards") + 10_000_000
