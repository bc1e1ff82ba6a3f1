"""What a person says of photos stays: over renamed folders, prunes, other models and encoders."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from landmarks.errors import NotFoundError
from landmarks.job_store.records import JobState
from landmarks.job_store.spec import JobKind, ReindexOptions
from landmarks.vector_store.points import point_id
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks.vector_store.store import VectorStore
from search_service.indexing.corrections import Corrected, Corrections
from tests.indexer_worker.test_whole_path import counts, write_manifest
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

LABELLED, REFUSED, OUT = (f"taj/{seed}.png" for seed in (2, 5, 8))


@pytest.fixture
def folder(rig: Rig, gallery: str) -> Path:
    return drawn(rig.photos / gallery)


def drawn(folder: Path) -> Path:
    """Draw nine photos of three landmarks."""
    for seed in range(9):
        draw_photo(folder / ("atomium", "soreq", "taj")[seed % 3] / f"{seed}.png", seed)
    return folder


@contextmanager
def store_of(rig: Rig) -> Iterator[VectorStore]:
    with closing(VectorStore(VectorStoreSettings(qdrant_port=rig.qdrant_port))) as store:
        yield store


@pytest.fixture
def corrections(rig: Rig) -> Iterator[Corrections]:
    with store_of(rig) as store:
        yield Corrections(store, rig.jobs, rig.open_writes)


def corrected(corrections: Corrections, gallery: str, source: str) -> None:
    """Label one photo by hand, refuse the label of another, and take out a third."""

    def of(path: str) -> list[UUID]:
        return [point_id(gallery, source, path)]

    assert corrections.set_label(gallery, of(LABELLED), "Taj Mahal") == Corrected(1)
    assert corrections.refuse_label(gallery, of(REFUSED), "taj") == Corrected(1)
    assert corrections.take_out(gallery, of(OUT)) == Corrected(1)


def labels(rig: Rig, gallery: str) -> dict[str, object]:
    return {
        path: payload.get("landmark")
        for path, payload in rig.payloads(gallery).items()
        if path.startswith("taj")
    }


def test_a_renamed_folder_is_not_encoded_and_what_was_said_of_its_photos_stays(
    rig, gallery, folder, corrections
):
    rig.index(gallery, folder)
    corrected(corrections, gallery, folder.name)
    assert labels(rig, gallery) == {LABELLED: "Taj Mahal", REFUSED: None}
    assert counts(rig.index(gallery, folder, verify=True)) == {"listed": 9, "unchanged": 9}
    assert labels(rig, gallery) == {LABELLED: "Taj Mahal", REFUSED: None}
    encoded = rig.encoded()
    (folder / "taj").rename(folder / "taj2")

    job = rig.index(gallery, folder, prune=True, prune_confirmed=True)

    assert counts(job) == {"listed": 9, "stored": 2, "unchanged": 7, "pruned": 2}
    assert rig.encoded() == encoded
    # Another label of the source was not refused.
    assert labels(rig, gallery) == {"taj2/2.png": "Taj Mahal", "taj2/5.png": "taj2"}
    assert rig.payloads(gallery)["taj2/5.png"]["said_not"] == ["taj"]
    assert counts(rig.index(gallery, folder, prune=True)) == {"listed": 9, "unchanged": 9}

    # A source of another name is another place, too.
    moved = folder.rename(folder.with_name(f"{gallery}-holiday"))
    assert counts(rig.index(gallery, moved)) == {"listed": 9, "stored": 8, "unchanged": 1}
    assert rig.encoded() == encoded
    moved_taj = [one for one in rig.points(gallery) if one["source"] == moved.name]
    assert {one["path"]: one.get("landmark") for one in moved_taj} == {
        **{f"atomium/{seed}.png": "atomium" for seed in (0, 3, 6)},
        **{f"soreq/{seed}.png": "soreq" for seed in (1, 4, 7)},
        "taj2/2.png": "Taj Mahal",
        "taj2/5.png": "taj2",
    }


def test_what_was_said_of_a_photo_that_was_pruned_is_known_when_it_comes_back(
    rig, gallery, folder, corrections, tmp_path
):
    rig.index(gallery, folder)
    corrected(corrections, gallery, folder.name)
    encoded = rig.encoded()
    away = (folder / "taj").rename(tmp_path / "taj")
    job = rig.index(gallery, folder, prune=True, prune_confirmed=True)
    assert counts(job) == {"listed": 6, "unchanged": 6, "pruned": 2}
    assert labels(rig, gallery) == {}
    with pytest.raises(NotFoundError):
        corrections.set_label(gallery, [point_id(gallery, "nowhere", "x")], "x")

    away.rename(folder / "soreq/taj")

    assert counts(rig.index(gallery, folder)) == {"listed": 9, "stored": 2, "unchanged": 7}
    assert rig.encoded() == encoded
    landmarks = {path: one.get("landmark") for path, one in rig.payloads(gallery).items()}
    assert (landmarks["soreq/taj/2.png"], landmarks["soreq/taj/5.png"]) == ("Taj Mahal", "soreq")
    assert "soreq/taj/8.png" not in landmarks


def test_the_label_of_the_source_comes_back_only_when_asked_for(rig, gallery, corrections):
    folder = rig.photos / gallery
    draw_photo(folder / "0.png", 0)
    [one] = ids = [point_id(gallery, folder.name, "0.png")]

    def indexed_as(landmark: str) -> object:
        rows = [{"path": "0.png", "landmark": landmark}]
        assert rig.index(gallery, write_manifest(folder / "m.csv", rows)).progress[0].dead == 0
        return rig.payloads(gallery)["0.png"].get("landmark")

    assert indexed_as("a") == "a"
    corrections.set_label(gallery, ids, "by hand")
    assert indexed_as("b") == "by hand"
    draw_photo(folder / "0.png", 1)  # edited
    assert indexed_as("b") == "by hand"
    corrections.refuse_label(gallery, ids, "by hand")
    assert indexed_as("b") == "b"
    corrections.refuse_label(gallery, ids, "c")
    assert indexed_as("c") is None
    corrections.set_label(gallery, ids, "")
    assert indexed_as("d") is None
    corrections.clear(gallery, ids)
    assert rig.payloads(gallery)["0.png"]["landmark"] == "d"
    assert indexed_as("e") == "e"
    corrections.take_out(gallery, ids)
    assert corrections.taken_out(gallery).keys() == {one}
    corrections.set_label(gallery, ids, "seen later")
    assert rig.payloads(gallery) == {}
    corrections.put_back(gallery, ids)
    assert indexed_as("e") == "seen later"


@pytest.mark.slow
def test_another_model_and_a_newer_encoder_see_what_was_said(own_rig):
    rig, other = own_rig, free_port()
    rig.has_newer = True
    encoders = json.dumps({MODEL: rig.encoders, "other": [f"127.0.0.1:{other}"]})
    folder = drawn(rig.photos / "p")
    rig.encoded_log.touch()
    with (
        rig.qdrant(),
        rig.encoder(),
        rig.encoder_of("other", other),
        rig.worker(encoders=encoders, sweep_seconds="0.5"),
        store_of(rig) as store,
    ):
        corrections = Corrections(store, rig.jobs, rig.open_writes)
        first = rig.index("g", folder).progress[0].collection
        corrected(corrections, "g", "p")
        with_other = rig.index("g", folder, models=("other",))
        assert with_other.progress[0].unchanged == 1
        seen = {"taj": 0, "Taj Mahal": 1}
        assert facets(store, with_other.progress[0].collection, seen) == seen
        with rig.newer_encoder():
            job = rig.index("g", "", kind=JobKind.REINDEX, reindex=ReindexOptions())
            assert job.state is JobState.SUCCEEDED, job.error
            newer = store.collections.live("g", MODEL).name
            assert newer != first
            assert facets(store, newer, seen) == seen
            store.collections.drop(first)
            store.collections.drop(with_other.progress[0].collection, live_too=True)
            assert counts(rig.index("g", folder)) == {"listed": 9, "unchanged": 9}
            assert store.points.count(newer) == 8
            out = [point_id("g", "p", OUT)]
            assert corrections.put_back("g", out) == Corrected(1, unread=1)
            assert counts(rig.index("g", folder)) == {
                "listed": 9,
                "stored": 1,
                "unchanged": 8,
                "encoded": 1,
            }
            assert store.points.payloads(newer, out)[out[0]]["landmark"] == "taj"
            [vector] = store.points.vectors(newer, out).values()
            corrections.take_out("g", out)
            assert out[0] not in {hit.id for hit in store.points.query(newer, [Query(vector)])[0]}
            assert corrections.put_back("g", out) == Corrected(1)
            assert store.points.query(newer, [Query(vector)])[0][0].id == out[0]


def facets(store: VectorStore, collection: str, names: dict[str, int]) -> dict[str, int]:
    found = {str(one.value): one.count for one in store.points.facet(collection, "landmark")}
    return {name: found.get(name, 0) for name in names}
