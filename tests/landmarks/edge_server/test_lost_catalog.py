"""No shard is deleted because the catalog does not know it; a lost catalog is rebuilt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from qdrant_client import grpc as q

from landmarks.edge_server.catalog import Catalog, CatalogEntry
from landmarks.edge_server.description import Description, State
from landmarks.edge_server.recovery import (
    put_aside_unknown,
    rebuilt_catalog,
    update_descriptions,
)
from landmarks.errors import ConfigurationError
from landmarks.vector_store.client import connect
from landmarks.vector_store.points import Point
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import edge_process
from tests.support.stores import StoreUnderTest, photo, photo_id, unit_rows

ROWS = unit_rows(20)
CATALOG = "catalog.json"


def _filled(data: Path) -> tuple[str, str]:
    """Store points in a live collection; return its name and that of another beside it."""
    with _serving(data) as store:
        live = store.collection().name
        store.points.upsert(
            live, [Point(photo_id(n), ROWS[n], photo(n).to_payload()) for n in range(20)]
        )
        store.collections.note(live, "calibration", "a note")
        beside = store.collections.create_beside("kept", "vgg16", "cd" * 32, 4).name
    return live, beside


@contextmanager
def _serving(data: Path) -> Iterator[StoreUnderTest]:
    with edge_process(data) as server:
        settings = VectorStoreSettings.load({"qdrant_port": server.port})
        with closing(connect(settings)) as client:
            yield StoreUnderTest("embedded", client, settings, "kept")


def _folders(data: Path) -> set[str]:
    return {one.name for one in (data / "shards").iterdir() if one.is_dir()}


def _described(shards: Path, folder: str, **values: object) -> None:
    (shards / folder).mkdir(parents=True)
    (shards / folder / "segment").write_text("points")
    if values:
        content = {"version": 1, "state": "serving", **values}
        (shards / folder / "collection.json").write_text(json.dumps(content))


@pytest.mark.integration
def test_a_lost_catalog_is_rebuilt_and_a_forgotten_shard_kept_aside(tmp_path: Path):
    live, beside = _filled(tmp_path)
    folders = _folders(tmp_path)
    content = json.loads((tmp_path / CATALOG).read_text())
    forgotten = content["collections"].pop(live)["folder"]
    content["aliases"] = {}
    (tmp_path / CATALOG).write_text(json.dumps(content))
    with _serving(tmp_path) as store:
        assert [one.lineage.name for one in store.collections.states("kept")] == [beside]
        assert _folders(tmp_path) == folders - {forgotten}

    # As the server's log says, to have it back.
    (tmp_path / CATALOG).unlink()
    shutil.move(tmp_path / "orphans" / forgotten, tmp_path / "shards" / forgotten)
    with _serving(tmp_path) as store:
        states = {one.lineage.name: one for one in store.collections.states("kept")}
        assert states.keys() == {live, beside}
        assert (states[live].live, states[live].points) == (True, 20)
        assert states[live].calibrated
        assert not states[beside].live
        assert len(store.points.payloads(live, [photo_id(n) for n in range(20)])) == 20
    assert _folders(tmp_path) == folders
    assert (tmp_path / CATALOG).exists()


def test_without_a_catalog_shards_that_do_not_say_what_they_are_are_left_alone(tmp_path: Path):
    shards = tmp_path / "shards"
    _described(shards, "new", name="a", revision=2)
    _described(shards, "old")  # as an earlier version wrote it
    with pytest.raises(ConfigurationError, match="backup") as refused:
        rebuilt_catalog(shards)
    assert str(shards / "old") in str(refused.value)
    assert str(shards / "new") not in str(refused.value)
    assert _folders(tmp_path) == {"new", "old"}


def test_the_newer_of_two_descriptions_counts(tmp_path: Path):
    shards = tmp_path / "shards"
    _described(shards, "0", name="a", revision=7, aliases=["live"])
    _described(shards, "1", name="a", revision=3)
    _described(shards, "2", name="b", revision=6, aliases=["live"])
    _described(shards, "3", name="c", revision=9, state="building")
    catalog = rebuilt_catalog(shards)
    assert {name: one.folder for name, one in catalog.collections.items()} == {"a": "0", "b": "2"}
    assert catalog.aliases == {"live": "a"}
    assert catalog.revision == 7


def test_only_what_says_that_it_may_go_is_removed(tmp_path: Path):
    shards, orphans = tmp_path / "shards", tmp_path / "orphans"
    _described(shards, "0", name="a", revision=1)
    _described(shards, "half-built", state="building")
    _described(shards, "half-deleted", state="discarded", name="gone")
    catalog = Catalog({"a": CatalogEntry("0", q.CreateCollection())})
    put_aside_unknown(shards, orphans, catalog)
    assert _folders(tmp_path) == {"0"}
    assert not orphans.exists()

    _described(shards, "unknown")
    _described(shards, "forgotten", name="b", revision=2)
    put_aside_unknown(shards, orphans, catalog)
    assert _folders(tmp_path) == {"0"}
    for name in ("unknown", "forgotten"):
        assert (orphans / name / "segment").read_text() == "points"


def test_a_shard_is_discarded_only_where_the_catalog_gave_it_up(tmp_path: Path):
    shards = tmp_path / "shards"
    _described(shards, "0", name="a", revision=1)
    _described(shards, "moved-here-meanwhile", name="b", revision=2)
    before = Catalog({"a": CatalogEntry("0", q.CreateCollection())})
    update_descriptions(shards, before.without_collection("a"), before)
    found = {name: Description.load(shards / name) for name in _folders(tmp_path)}
    assert found["0"] is not None
    assert found["0"].state is State.DISCARDED
    assert found["moved-here-meanwhile"] is not None
    assert found["moved-here-meanwhile"].state is State.SERVING


def test_an_unreadable_catalog_is_reported_with_the_way_out(tmp_path: Path):
    (tmp_path / CATALOG).write_text("{")
    with pytest.raises(ConfigurationError, match=r"catalog\.json cannot be read.*move it away"):
        Catalog.load(tmp_path)
