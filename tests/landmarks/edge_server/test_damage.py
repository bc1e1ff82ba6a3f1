"""Damage to one collection's files: the others serve, and it says what is wrong and what to do."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from landmarks.edge_server.point_count import PointCount
from landmarks.errors import DamagedError
from landmarks.probe import is_serving
from landmarks.vector_store.client import connect
from landmarks.vector_store.points import Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import EdgeProcess, edge_process
from tests.support.processes import eventually
from tests.support.stores import DIMENSION, StoreUnderTest, photo, photo_id, unit_rows

COUNT = 300
ROWS = unit_rows(COUNT)
POINTS = [Point(photo_id(n), ROWS[n], photo(n).to_payload()) for n in range(COUNT)]
MODELS = ("whole", "broken", "panics", "cut", "gone")


def _opened(server: EdgeProcess) -> StoreUnderTest:
    settings = VectorStoreSettings.load({"qdrant_port": server.port})
    return StoreUnderTest("embedded", connect(settings), settings, "g")


def _folder(data: Path, collection: str) -> Path:
    catalog = json.loads((data / "catalog.json").read_text())
    return data / "shards" / catalog["collections"][collection]["folder"]


def _one(folder: Path, pattern: str) -> Path:
    [found] = [path for path in folder.rglob(pattern) if path.stat().st_size]
    return found


@pytest.mark.integration
def test_one_damaged_shard_keeps_no_other_from_serving_and_says_so(tmp_path: Path):
    names = {}
    with edge_process(tmp_path) as server, closing(_opened(server).client) as client:
        store = StoreUnderTest("", client, VectorStoreSettings(qdrant_port=server.port), "g")
        for model in MODELS:
            names[model] = store.collections.to_write("g", model, "ab" * 32, DIMENSION).name
            store.points.upsert(names[model], POINTS)
    _one(_folder(tmp_path, names["broken"]), "segment.json").write_text("{")
    _one(_folder(tmp_path, names["panics"]), "payload_storage/tracker.dat").write_bytes(b"")
    ids = _one(_folder(tmp_path, names["cut"]), "*id_tracker.mappings")
    ids.write_bytes(ids.read_bytes()[: ids.stat().st_size * 2 // 3])
    shutil.rmtree(_folder(tmp_path, names["cut"]) / "wal")  # as if it had gone on to other writes
    _folder(tmp_path, names["gone"]).rename(tmp_path / "elsewhere")

    with edge_process(tmp_path) as server, closing(_opened(server).client) as client:
        store = StoreUnderTest("", client, VectorStoreSettings(qdrant_port=server.port), "g")
        states = {one.lineage.model: one for one in store.collections.states("g")}
        assert states.keys() == set(MODELS)
        assert (states["whole"].status, states["whole"].points) == ("green", COUNT)
        assert not states["whole"].problem
        for model in ("broken", "panics", "gone"):
            assert states[model].status == "red"
            assert states[model].live
            assert "restore a backup" in states[model].problem.lower()
            assert names[model] in states[model].problem
            for call in (store.points.count, lambda name: store.points.upsert(name, POINTS[:1])):
                with pytest.raises(DamagedError, match="index its sources again"):
                    call(names[model])
        missing = COUNT - states["cut"].points
        assert missing > 0
        assert states["cut"].status == "red"
        assert f"{missing} of {COUNT} points" in states["cut"].problem
        address = f"127.0.0.1:{server.port}"
        eventually(lambda: is_serving(address, names["whole"]), "the whole one serves")
        assert not is_serving(address, names["broken"])

        assert store.points.query(names["whole"], [Query(ROWS[3], limit=1)])[0][0].id == photo_id(3)
        assert len(store.points.query(names["cut"], [Query(ROWS[3], limit=5)])[0]) == 5
        assert store.client.create_full_snapshot() is not None

        # The ways out.
        store.points.upsert(names["cut"], POINTS)
        store.collections.drop(names["broken"], live_too=True)
        created = store.collections.to_write("g", "broken", "ab" * 32, DIMENSION).name
        store.points.upsert(created, POINTS)
        (tmp_path / "elsewhere").rename(_folder(tmp_path, names["gone"]))
        eventually(
            lambda: (
                {one.status for one in store.collections.states("g")} == {"green", "red"}
                and [one.lineage.model for one in store.collections.states("g") if one.problem]
                == ["panics"]
            ),
            "all but one are whole again",
        )
        assert store.points.count(names["gone"]) == COUNT


def test_what_is_missing_is_remembered_until_it_is_stored_again(tmp_path: Path):
    count = PointCount.create(tmp_path)
    count.record(300, 0)
    count.close()
    count = PointCount.load(tmp_path, 194)
    assert count.missing == 106
    count.record(200, 194)
    count.close()
    count = PointCount.load(tmp_path, 200)
    assert count.missing == 100
    count.record(300, 200)
    count.close()
    assert PointCount.load(tmp_path, 300).missing == 0


@pytest.mark.parametrize(("left", "missing"), [(300, 0), (260, 0), (250, 0), (240, 10)])
def test_a_write_that_a_crash_cut_short_is_no_damage(tmp_path: Path, left: int, missing: int):
    count = PointCount.create(tmp_path)
    count.record(300, 0)
    count.expect(300, 50)  # and nothing was recorded after it
    assert PointCount.load(tmp_path, left).missing == missing


def test_a_shard_of_an_earlier_version_is_counted_from_now_on(tmp_path: Path):
    assert PointCount.load(tmp_path, 300).missing == 0
    assert PointCount.load(tmp_path, 299).missing == 1
