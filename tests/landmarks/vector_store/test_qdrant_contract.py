"""One suite for every engine: what the program asks of Qdrant, and what it must hear."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import grpc
import numpy as np
import pytest
from qdrant_client import models

from landmarks.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LineageError,
    NotFoundError,
)
from landmarks.naming import alias_name
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.filters import AnyOf, Condition, Equals, Filter, Range, Words, fitted
from landmarks.vector_store.marks import GENERATION, MARK, Claim
from landmarks.vector_store.payload_indexes import INDEXED_FIELDS
from landmarks.vector_store.points import PhotoPayload, Point
from landmarks.vector_store.queries import Hit, Query
from tests.support.stores import (
    DIGEST,
    DIMENSION,
    Filled,
    StoreUnderTest,
    photo,
    photo_id,
    unit_rows,
)

# The local mode scans everything, and says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

OTHER_DIGEST = "cd" * 32


def _ids(hits: list[Hit]) -> list[UUID]:
    return [hit.id for hit in hits]


def _matches(condition: Condition, payload: dict) -> bool:
    value = payload.get(condition.key)
    match condition:
        case Equals(_, wanted):
            return type(value) is type(wanted) and value == wanted
        case AnyOf(_, values):
            return value in values
        case Words(_, text):
            return isinstance(value, str) and text in value
        case Range(_, gt, gte, lt, lte):
            if value is None or isinstance(value, bool | str):
                return False
            return (
                (gt is None or value > gt)
                and (gte is None or value >= gte)
                and (lt is None or value < lt)
                and (lte is None or value <= lte)
            )


def _passes(conditions: Filter, payload: dict) -> bool:
    return all(_matches(one, payload) for one in conditions.must) and not any(
        _matches(one, payload) for one in conditions.must_not
    )


# Collections


def test_the_first_collection_becomes_live_and_keeps_its_lineage(engine: StoreUnderTest):
    written = engine.collection()
    assert written.name == f"{engine.gallery}__vgg16__abababab"
    assert engine.collections.live(engine.gallery, "vgg16") == written
    assert (written.digest, written.dimension) == (DIGEST, DIMENSION)
    assert engine.collection() == written


def test_a_gallery_that_was_never_indexed_has_no_live_collection(engine: StoreUnderTest):
    with pytest.raises(NotFoundError, match="nothing indexed"):
        engine.collections.live(engine.gallery, "vgg16")


def test_writing_with_another_digest_is_refused(engine: StoreUnderTest):
    engine.collection()
    with pytest.raises(LineageError, match="abababab"):
        engine.collections.to_write(engine.gallery, "vgg16", OTHER_DIGEST, DIMENSION)
    with pytest.raises(LineageError, match="dimensions"):
        engine.collections.to_write(engine.gallery, "vgg16", DIGEST, DIMENSION + 1)
    assert len(engine.collections.states(engine.gallery)) == 1


def test_a_re_embedding_is_built_beside_and_promoted_at_once(engine: StoreUnderTest):
    old = engine.collection()
    new = engine.collections.create_beside(engine.gallery, "vgg16", OTHER_DIGEST, 8)
    assert engine.collections.live(engine.gallery, "vgg16") == old
    assert engine.collections.promote(new.name) == old.name
    assert engine.collections.live(engine.gallery, "vgg16") == new
    assert [(one.lineage, one.live) for one in engine.collections.states(engine.gallery)] == [
        (old, False),
        (new, True),
    ]
    assert engine.collections.promote(old.name) == new.name


def test_a_rollback_goes_back_and_forth(engine: StoreUnderTest):
    old = engine.collection()
    with pytest.raises(NotFoundError, match="first live"):
        engine.collections.roll_back(engine.gallery, "vgg16")
    new = engine.collections.create_beside(engine.gallery, "vgg16", OTHER_DIGEST, 8)
    engine.collections.promote(new.name)
    engine.collections.promote(new.name)  # again: it is not its own predecessor
    alias = f"{engine.gallery}__vgg16"
    for refused in (engine.collections.promote, engine.collections.drop):
        with pytest.raises(InvalidInputError, match="not the name of a collection"):
            refused(alias)
    assert engine.collections.roll_back(engine.gallery, "vgg16", new.name) == new.name
    assert engine.collections.live(engine.gallery, "vgg16") == old
    # The same request again, as of a caller that did not hear the answer.
    assert engine.collections.roll_back(engine.gallery, "vgg16", new.name) == new.name
    assert engine.collections.live(engine.gallery, "vgg16") == old
    assert engine.collections.roll_back(engine.gallery, "vgg16") == old.name
    assert engine.collections.live(engine.gallery, "vgg16") == new
    engine.collections.drop(old.name)
    with pytest.raises(NotFoundError, match="dropped"):
        engine.collections.roll_back(engine.gallery, "vgg16")
    assert engine.collections.live(engine.gallery, "vgg16") == new


def test_an_index_is_built_only_when_it_is_time(wire_engine: StoreUnderTest):
    def threshold() -> int | None:
        return wire_engine.client.get_collection(name).config.optimizer_config.indexing_threshold

    wire_engine.collection()
    gallery, collections = wire_engine.gallery, wire_engine.collections
    name = collections.create_beside(gallery, "vgg16", OTHER_DIGEST, 8, unindexed=True).name
    assert threshold() == 0
    collections.build_index(name)
    assert threshold() == 20_000
    assert collections.status(name) == "green"


def test_a_live_collection_is_not_dropped_by_accident(engine: StoreUnderTest):
    live = engine.collection()
    with pytest.raises(LineageError, match="is live"):
        engine.collections.drop(live.name)
    engine.collections.drop(live.name, live_too=True)
    assert not engine.client.collection_exists(live.name)
    assert engine.collections.states(engine.gallery) == []
    with pytest.raises(NotFoundError):  # its alias went with it
        engine.collections.live(engine.gallery, "vgg16")
    with pytest.raises(NotFoundError, match=f"no collection {live.name}"):
        engine.collections.drop(live.name)


def test_many_workers_create_one_collection(wire_engine: StoreUnderTest):
    found, start = [], threading.Barrier(6)

    def work() -> None:
        start.wait()
        found.append(wire_engine.collection())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    schema = wire_engine.client.get_collection(found[0].name).payload_schema
    assert set(schema) == {*INDEXED_FIELDS, GENERATION, MARK}


def test_a_collection_says_how_it_is_laid_out(wire_engine: StoreUnderTest, stored):
    name, _ = stored(wire_engine, 30)
    info = wire_engine.client.get_collection(name)
    assert info.status == models.CollectionStatus.GREEN
    assert info.points_count == 30
    assert info.config.params.vectors == models.VectorParams(
        size=DIMENSION, distance=models.Distance.COSINE
    )
    assert (info.config.hnsw_config.m, info.config.hnsw_config.ef_construct) == (16, 128)
    assert info.config.params.shard_number == 1
    assert info.payload_schema["landmark"].data_type == models.PayloadSchemaType.KEYWORD
    assert info.config.metadata["gallery"] == wire_engine.gallery


def test_metadata_can_be_added_to(engine: StoreUnderTest):
    name = engine.collection().name
    engine.client.update_collection(name, metadata={"note": "kept", "parts": [1, {"a": None}]})
    metadata = engine.client.get_collection(name).config.metadata
    assert metadata["note"] == "kept"
    assert metadata["parts"] == [1, {"a": None}]
    assert metadata["digest"] == DIGEST


def test_creating_a_collection_twice_is_an_error_of_its_own(wire_engine: StoreUnderTest):
    from landmarks.vector_store.errors import qdrant_failures

    name = wire_engine.collection().name
    with pytest.raises(AlreadyExistsError, match="already exists"), qdrant_failures("here"):
        wire_engine.client.create_collection(
            name, models.VectorParams(size=4, distance=models.Distance.COSINE)
        )


def test_aliases_are_listed_renamed_and_switched(engine: StoreUnderTest):
    client, name = engine.client, engine.collection().name
    alias = alias_name(engine.gallery, "vgg16")
    assert [one.alias_name for one in client.get_collection_aliases(name).aliases] == [alias]
    client.update_collection_aliases(
        [
            models.RenameAliasOperation(
                rename_alias=models.RenameAlias(
                    old_alias_name=alias, new_alias_name=f"{alias}-before"
                )
            )
        ]
    )
    ours = {
        one.alias_name: one.collection_name
        for one in client.get_aliases().aliases
        if one.alias_name.startswith(engine.gallery)
    }
    assert ours == {f"{alias}-before": name}


def test_a_failing_alias_change_changes_nothing(wire_engine: StoreUnderTest):
    from landmarks.vector_store.errors import qdrant_failures

    name = wire_engine.collection().name
    alias = alias_name(wire_engine.gallery, "vgg16")
    with pytest.raises(NotFoundError), qdrant_failures("here"):
        wire_engine.client.update_collection_aliases(
            [
                models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)),
                models.CreateAliasOperation(
                    create_alias=models.CreateAlias(collection_name="absent", alias_name=alias)
                ),
            ]
        )
    if wire_engine.name == "embedded":  # a server carries out the actions before the wrong one
        assert wire_engine.collections.live(wire_engine.gallery, "vgg16").name == name


# Points


def test_stored_points_can_be_read_back(engine: StoreUnderTest, stored):
    name, rows = stored(engine, 10)
    read = engine.points.payloads(name, [photo_id(3), uuid4(), photo_id(7)])
    assert {point: PhotoPayload.from_payload(one) for point, one in read.items()} == {
        photo_id(3): photo(3),
        photo_id(7): photo(7),
    }
    record = engine.client.retrieve(name, [str(photo_id(3))], with_vectors=True)[0]
    np.testing.assert_allclose(record.vector, rows[3], atol=1e-6)


def test_payload_of_every_kind_survives(engine: StoreUnderTest):
    name = engine.collection().name
    payload = {
        "text": "Atomium – Bruxelles",
        "whole": -(2**53),
        "number": 0.5,
        "yes": True,
        "nothing": None,
        "list": [1, "a", [], {}],
        "object": {"a": {"b": 1.5}},
    }
    engine.client.upsert(
        name, [models.PointStruct(id=7, vector=unit_rows(1)[0].tolist(), payload=payload)]
    )
    assert engine.client.retrieve(name, [7])[0].payload == payload


def test_a_part_of_the_payload_can_be_requested(filled: Filled):
    engine, name = filled.engine, filled.name
    only = engine.client.retrieve(name, [str(photo_id(1))], with_payload=["path", "year"])[0]
    assert only.payload == {"path": "1.jpg", "year": 1901}
    rest = engine.client.retrieve(
        name,
        [str(photo_id(1))],
        with_payload=models.PayloadSelectorExclude(exclude=["path", "year"]),
    )[0]
    assert set(rest.payload) == set(photo(1).to_payload()) - {"path", "year"}


def test_storing_again_replaces_vector_and_payload(engine: StoreUnderTest, stored):
    name, _ = stored(engine, 5)
    fresh = unit_rows(1, seed=9)[0]
    engine.points.upsert(name, [Point(photo_id(2), fresh, {"path": "new.jpg"})])
    assert engine.points.count(name) == 5
    assert engine.points.payloads(name, [photo_id(2)]) == {photo_id(2): {"path": "new.jpg"}}
    best = engine.points.query(name, [Query(fresh, limit=1)])[0][0]
    assert best.id == photo_id(2)
    assert best.score == pytest.approx(1, abs=1e-5)


def test_payload_is_set_overwritten_and_deleted_without_the_vector(engine: StoreUnderTest, stored):
    name, rows = stored(engine, 6)
    engine.points.set_payload(name, [photo_id(0), photo_id(1)], {"stale": True})
    assert [PhotoPayload.from_payload(p).stale for p in _payloads(engine, name, 3)] == [
        True,
        True,
        False,
    ]
    engine.points.overwrite_payloads(
        name, {photo_id(0): photo(0, job_id="job-2").to_payload(), photo_id(1): {"only": 1}}
    )
    assert PhotoPayload.from_payload(_payloads(engine, name, 1)[0]) == photo(0, job_id="job-2")
    assert _payloads(engine, name, 2)[1] == {"only": 1}
    engine.client.delete_payload(name, ["year", "path"], points=[str(photo_id(2))])
    assert {"year", "path"}.isdisjoint(_payloads(engine, name, 3)[2])
    engine.client.clear_payload(name, points_selector=[str(photo_id(3))])
    assert _payloads(engine, name, 4)[3] == {}
    record = engine.client.retrieve(name, [str(photo_id(1))], with_vectors=True)[0]
    np.testing.assert_allclose(record.vector, rows[1], atol=1e-6)


def _payloads(engine: StoreUnderTest, name: str, count: int) -> list[dict]:
    read = engine.points.payloads(name, [photo_id(n) for n in range(count)])
    return [dict(read[photo_id(n)]) for n in range(count)]


def test_points_are_deleted_by_id_and_by_filter(engine: StoreUnderTest, stored):
    name, _ = stored(engine, 20)
    engine.writes.delete(name, 1, [photo_id(0), photo_id(1), uuid4()])
    assert engine.points.count(name) == 18
    engine.writes.delete_where(name, 2, Filter(must=(Equals("source", "photos"),)))
    assert {point.payload["source"] for point in engine.points.scan(name)} == {"archive"}
    with pytest.raises(ValueError, match="every point"):
        engine.writes.delete_where(name, 3, Filter())


def test_points_of_a_source_are_deleted_below_a_path(engine: StoreUnderTest, stored):
    name, _ = stored(engine, 20)
    of_photos = Filter(must=(Equals("source", "photos"),))
    paths = sorted(str(p.payload["path"]) for p in engine.points.scan(name, of_photos))
    prefix = "1"
    below = sum(path.startswith(prefix) for path in paths)
    assert 0 < below < len(paths)
    assert engine.writes.delete_source(name, 1, "photos", prefix) == below
    assert engine.points.count(name, of_photos) == len(paths) - below
    assert engine.writes.delete_source(name, 1, "photos") == len(paths) - below
    assert {point.payload["source"] for point in engine.points.scan(name)} == {"archive"}
    assert engine.writes.delete_source(name, 1, "photos", "nothing/") == 0


def test_empty_requests_do_nothing(engine: StoreUnderTest, stored):
    name, _ = stored(engine, 2)
    engine.points.upsert(name, [])
    engine.writes.delete(name, 1, [])
    engine.points.set_payload(name, [], {"stale": True})
    engine.points.overwrite_payloads(name, {})
    assert engine.points.payloads(name, []) == {}
    assert engine.points.query(name, []) == []
    assert engine.points.count(name) == 2


# Searches


def test_a_query_ranks_by_cosine_similarity(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    queries = unit_rows(5, seed=1)
    answers = engine.points.query(name, [Query(row, limit=10) for row in queries])
    for row, hits in zip(queries, answers, strict=True):
        scores = rows @ row
        best = np.argsort(-scores)[:10]
        assert _ids(hits) == [photo_id(int(n)) for n in best]
        np.testing.assert_allclose([hit.score for hit in hits], scores[best], atol=1e-5)
        assert PhotoPayload.from_payload(hits[0].payload) == photo(int(best[0]))


def test_a_query_need_not_be_of_unit_length(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    hits = engine.points.query(name, [Query(rows[4] * 7, limit=1)])[0]
    assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_a_query_by_id_leaves_the_point_itself_out(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    hits = engine.points.query(name, [Query(photo_id(8), limit=filled.count)])[0]
    scores = rows @ rows[8]
    assert _ids(hits) == [photo_id(int(n)) for n in np.argsort(-scores) if n != 8]
    with pytest.raises(NotFoundError):
        engine.points.query(name, [Query(uuid4())])


def test_pages_follow_each_other(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    whole = engine.points.query(name, [Query(rows[0], limit=150)])[0]
    pages = engine.points.query(
        name, [Query(rows[0], limit=20, offset=offset) for offset in range(0, 180, 20)]
    )
    assert [len(page) for page in pages] == [20] * 7 + [10, 0]
    assert _ids([hit for page in pages for hit in page]) == _ids(whole)


def test_a_score_threshold_cuts_the_ranking(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    scores = np.sort(rows @ rows[0])[::-1]
    threshold = float((scores[9] + scores[10]) / 2)
    hits = engine.points.query(name, [Query(rows[0], limit=150, score_threshold=threshold)])[0]
    assert len(hits) == 10
    assert all(hit.score >= threshold for hit in hits)


def test_search_settings_do_not_change_a_small_ranking(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    plain, exact, wide = engine.points.query(
        name,
        [
            Query(rows[0]),
            Query(rows[0], exact=True),
            Query(rows[0], hnsw_ef=64, oversampling=2.0),
        ],
    )
    assert _ids(plain) == _ids(exact) == _ids(wide)


def test_hits_carry_only_the_requested_payload(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    whole, some, none = engine.points.query(
        name,
        [
            Query(rows[3], limit=1),
            Query(rows[3], limit=1, fields=("path", "landmark")),
            Query(rows[3], limit=1, with_payload=False),
        ],
    )
    assert whole[0].payload == photo(3).to_payload()
    assert some[0].payload == {"path": "3.jpg", "landmark": "landmark-3"}
    assert none[0].payload == {}


def test_a_quantized_collection_ranks_like_a_plain_one(wire_engine: StoreUnderTest):
    quantized = wire_engine.settings.model_copy(update={"qdrant_quantized": True})
    name = (
        Collections(wire_engine.client, quantized)
        .to_write(wire_engine.gallery, "vgg16", DIGEST, DIMENSION)
        .name
    )
    assert wire_engine.client.get_collection(name).config.quantization_config is not None
    rows = unit_rows(50)
    points = [Point(photo_id(n), rows[n], {}) for n in range(50)]
    wire_engine.points.upsert(name, points)
    hits = wire_engine.points.query(name, [Query(rows[0], limit=5, oversampling=3.0)])[0]
    scores = rows @ rows[0]
    assert _ids(hits) == [photo_id(int(n)) for n in np.argsort(-scores)[:5]]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1][:5], atol=1e-5)


def test_originals_on_disk_rank_like_those_in_memory(wire_engine: StoreUnderTest):
    settings = wire_engine.settings.model_copy(
        update={"qdrant_quantized": True, "qdrant_on_disk": True}
    )
    collections = Collections(wire_engine.client, settings)
    name = collections.to_write(wire_engine.gallery, "vgg16", DIGEST, DIMENSION).name
    assert wire_engine.client.get_collection(name).config.params.vectors.on_disk is True
    rows = unit_rows(50)
    wire_engine.points.upsert(name, [Point(photo_id(n), rows[n], {}) for n in range(50)])
    hits = wire_engine.points.query(name, [Query(rows[0], limit=5, oversampling=3.0)])[0]
    assert _ids(hits) == [photo_id(int(n)) for n in np.argsort(-(rows @ rows[0]))[:5]]
    payload = photo(1).to_payload()
    wire_engine.points.upsert(name, [Point(photo_id(1), rows[1], payload)])
    for field in ("path", "sha256"):  # whose indexes are on disk too
        assert wire_engine.points.count(name, Filter(must=(Equals(field, payload[field]),))) == 1


FILTERS = {
    "equals a text": Filter(must=(Equals("landmark", "landmark-1"),)),
    "equals a number": Filter(must=(Equals("year", 1907),)),
    "equals a boolean": Filter(must=(Equals("night", True),)),
    "a column with a space": Filter(must=(Equals("taken by", "p2"),)),
    "any text": Filter(must=(AnyOf("landmark", ("landmark-1", "landmark-3")),)),
    "any number": Filter(must=(AnyOf("year", (1901, 1950, 2500)),)),
    "any of none": Filter(must=(AnyOf("landmark", ()),)),
    "not": Filter(must_not=(Equals("landmark", "landmark-1"),)),
    "a range": Filter(must=(Range("year", gte=1910, lt=1920),)),
    "an open range": Filter(must=(Range("width", gt=150),)),
    "all together": Filter(
        must=(AnyOf("source", ("photos",)), Range("year", lte=1960)),
        must_not=(Equals("night", True), AnyOf("landmark", ("landmark-0",))),
    ),
    "a word": Filter(must=(Words("caption", "3"),)),
    "a word in a field without an index": Filter(must=(Words("source", "photos"),)),
    "not a word": Filter(must_not=(Words("caption", "5"),)),
    "a field that no point has": Filter(must=(Equals("absent", "x"),)),
    "not in a field that no point has": Filter(must_not=(Equals("absent", "x"),)),
}


@pytest.mark.parametrize("conditions", FILTERS.values(), ids=FILTERS.keys())
def test_a_filter_means_the_same_everywhere(filled: Filled, conditions: Filter):
    engine, name, rows = filled.engine, filled.name, filled.rows
    passing = [n for n in range(filled.count) if _passes(conditions, photo(n).to_payload())]
    ranked = sorted(passing, key=lambda n: -float(rows[n] @ rows[0]))
    hits = engine.points.query(name, [Query(rows[0], limit=150, filter=conditions)])[0]
    assert _ids(hits) == [photo_id(n) for n in ranked]
    assert engine.points.count(name, conditions) == len(passing)
    scanned = {point.id for point in engine.points.scan(name, conditions)}
    assert scanned == {photo_id(n) for n in passing}


@pytest.mark.parametrize(
    ("text", "found"),
    [("dome golden", 30), ("GOLDEN", 30), ("Gólden", 30), ("gold", 0), ("golden 3", 5)],
)
def test_words_are_found_in_any_order_and_case(wire_engine: StoreUnderTest, stored, text, found):
    name, _ = stored(wire_engine, 30)
    assert wire_engine.points.count(name, Filter(must=(Words("caption", text),))) == found


def test_words_are_found_in_fields_of_any_name(wire_engine: StoreUnderTest) -> None:
    names = ("photo title", "Straße")
    given = wire_engine.settings.model_copy(update={"qdrant_text_fields": names})
    collections = Collections(wire_engine.client, given)
    name = collections.create_beside(wire_engine.gallery, "vgg16", "9d" * 32, DIMENSION).name
    payload = {**photo(1).to_payload(), **dict.fromkeys(names, "the golden dome")}
    wire_engine.points.upsert(name, [Point(photo_id(1), unit_rows(2)[1], payload)])
    assert not set(names) & collections.kinds(name).keys()
    for _ in range(2):  # of points that are there already; and again
        collections.index_columns_of(name, payload)
    kinds = collections.kinds(name)
    assert {field for field, kind in kinds.items() if kind == "text"} == set(names)
    for field in names:
        golden = Filter(must=(Words(field, "golden"),))
        assert fitted(golden, kinds, name) == golden
        assert wire_engine.points.count(name, golden) == 1
    with pytest.raises(InvalidInputError, match="photo title"):
        fitted(Filter(must=(Words("caption", "golden"),)), kinds, name)
    collections.drop(name)


def test_random_filtered_queries_agree_with_brute_force(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    payloads = [photo(n).to_payload() for n in range(150)]
    choose = np.random.default_rng(5)
    for row in unit_rows(25, seed=6):
        conditions = Filter(must=_some_conditions(choose, 2), must_not=_some_conditions(choose, 1))
        limit, offset = int(choose.integers(1, 30)), int(choose.integers(0, 10))
        passing = [n for n in range(150) if _passes(conditions, payloads[n])]
        ranked = sorted(passing, key=lambda n: -float(rows[n] @ row))[offset : offset + limit]
        query = Query(row, limit=limit, offset=offset, filter=conditions)
        hits = engine.points.query(name, [query])[0]
        assert _ids(hits) == [photo_id(n) for n in ranked], conditions
        np.testing.assert_allclose(
            [hit.score for hit in hits], [float(rows[n] @ row) for n in ranked], atol=1e-5
        )


def test_hits_can_bring_their_vectors_and_leave_points_out(filled: Filled):
    engine, name, rows = filled.engine, filled.name, filled.rows
    without = (photo_id(0), photo_id(7))
    query = Query(rows[0], limit=5, without=without, with_vectors=True)
    [hits] = engine.points.query(name, [query])
    ranked = [n for n in np.argsort(-(rows @ rows[0]), kind="stable") if n not in (0, 7)][:5]
    assert _ids(hits) == [photo_id(n) for n in ranked]
    for hit, number in zip(hits, ranked, strict=True):
        np.testing.assert_allclose(hit.vector, rows[number], atol=1e-6)


def test_vectors_are_read_by_id(filled: Filled):
    ids = [photo_id(3), photo_id(9), UUID(int=5)]
    found = filled.engine.points.vectors(filled.name, ids)
    assert set(found) == {photo_id(3), photo_id(9)}
    np.testing.assert_allclose(found[photo_id(9)], filled.rows[9], atol=1e-6)


def _some_conditions(choose: np.random.Generator, most: int) -> tuple[Condition, ...]:
    def one() -> Condition:
        low = int(choose.integers(1900, 2050))
        return [
            Equals("landmark", f"landmark-{choose.integers(6)}"),
            Equals("night", bool(choose.integers(2))),
            AnyOf("taken by", tuple(f"p{n}" for n in choose.integers(0, 6, size=2))),
            AnyOf("year", tuple(int(n) for n in choose.integers(1900, 2060, size=40))),
            Range("year", gte=low, lt=low + int(choose.integers(1, 80))),
            Range("width", gt=float(choose.integers(90, 260))),
        ][int(choose.integers(6))]

    return tuple(one() for _ in range(int(choose.integers(0, most + 1))))


def test_a_scan_reads_every_point_once_over_many_pages(engine: StoreUnderTest, monkeypatch, stored):
    monkeypatch.setattr("landmarks.vector_store.point_store._SCAN_PAGE", 7)
    name, _ = stored(engine, 40)
    scanned = list(engine.points.scan(name, fields=["path"]))
    assert len(scanned) == 40
    assert {point.id for point in scanned} == {photo_id(n) for n in range(40)}
    assert scanned[0].payload.keys() == {"path"}


def test_values_of_an_indexed_field_are_counted(filled: Filled):
    engine, name = filled.engine, filled.name
    counted = {one.value: one.count for one in engine.points.facet(name, "landmark")}
    labels = [photo(n).landmark for n in range(filled.count)]
    assert counted == {label: labels.count(label) for label in set(labels) if label is not None}
    few = engine.points.facet(
        name, "landmark", Filter(must=(Equals("landmark", "landmark-2"),)), limit=1
    )
    assert [(one.value, one.count) for one in few] == [("landmark-2", labels.count("landmark-2"))]


# Errors


def test_an_unknown_collection_is_not_found(engine: StoreUnderTest):
    for call in (
        lambda: engine.points.count("absent"),
        lambda: engine.points.query("absent", [Query(unit_rows(1)[0])]),
        lambda: engine.points.upsert("absent", [Point(photo_id(0), unit_rows(1)[0], {})]),
        lambda: engine.collections.lineage("absent"),
    ):
        with pytest.raises(NotFoundError, match="absent"):
            call()
    assert not engine.client.collection_exists("absent")


def test_a_vector_of_the_wrong_length_is_refused(wire_engine: StoreUnderTest, stored):
    name, _ = stored(wire_engine, 2)
    short = unit_rows(1, dimension=5)[0]
    with pytest.raises(InvalidInputError, match="expected dim: 16, got 5"):
        wire_engine.points.upsert(name, [Point(photo_id(9), short, {})])
    with pytest.raises(InvalidInputError, match="expected dim: 16, got 5"):
        wire_engine.points.query(name, [Query(short)])
    assert wire_engine.points.count(name) == 2


NOWHERE = pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ([float("nan")] + [0.5] * (DIMENSION - 1), "NaN"),
        ([float("inf")] + [0.5] * (DIMENSION - 1), "infinity"),
        ([float("inf"), float("-inf")] + [0.5] * (DIMENSION - 2), "NaN"),
        ([0.0] * DIMENSION, "all zeros"),
    ],
)


@NOWHERE
def test_a_vector_that_points_nowhere_is_refused_and_named(
    engine: StoreUnderTest, stored, numbers: list[float], complaint: str
):
    name, rows = stored(engine, 2)
    points = [
        Point(photo_id(1), rows[0], {}),
        Point(photo_id(9), np.array(numbers, np.float32), {}),
    ]
    claim = Claim(5, "job|work|1")
    ids = [one.id for one in points]
    engine.writes.claim(name, claim, engine.writes.seen(name, ids), {one: {} for one in ids})
    for write in (
        lambda: engine.points.upsert(name, points),
        lambda: engine.writes.write(name, claim, points, {}),
    ):
        with pytest.raises(InvalidInputError, match=complaint) as caught:
            write()
        assert str(photo_id(9)) in str(caught.value)
    assert engine.points.count(name) == 2  # all or nothing
    assert np.allclose(engine.points.vectors(name, [photo_id(1)])[photo_id(1)], rows[1])


@NOWHERE
def test_the_embedded_engine_refuses_such_a_vector_from_any_client(
    embedded: StoreUnderTest, stored, numbers: list[float], complaint: str
):
    name, rows = stored(embedded, 2)
    rows = [rows[0].tolist(), numbers]
    structs = [models.PointStruct(id=n, vector=row) for n, row in enumerate(rows, start=8)]
    with pytest.raises(grpc.RpcError, match=complaint) as caught:
        embedded.client.upsert(name, structs, wait=True)
    assert "the vector of point 9" in str(caught.value)
    with pytest.raises(InvalidInputError, match="the query vector"):
        embedded.points.query(name, [Query(np.array(numbers, np.float32))])
    assert embedded.points.count(name) == 2  # all or nothing


def test_changing_the_payload_of_a_missing_point_changes_nothing(embedded, stored):
    name, _ = stored(embedded, 3)
    with pytest.raises(NotFoundError, match="No point with id"):
        embedded.points.set_payload(name, [photo_id(0), photo_id(99)], {"stale": True})
    assert embedded.points.count(name, Filter(must=(Equals("stale", True),))) == 0


def test_a_facet_needs_a_payload_index(wire_engine: StoreUnderTest, stored):
    name, _ = stored(wire_engine, 3)
    with pytest.raises(InvalidInputError, match="index"):
        wire_engine.points.facet(name, "taken")
