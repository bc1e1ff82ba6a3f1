"""Further features of a search: parts, examples, expansion, batches, counts, recall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import Code

from landmarkapi.encoder.v1.encoder_pb2 import Box as BoxMessage
from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError, InvalidPhotoError, NotFoundError
from landmarks.photos.box import Box
from landmarks.vector_store.client import connect
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import Point, point_id
from landmarks.vector_store.queries import Hit
from search_service.search.query_vectors import combined, expanded
from search_service.search.recall_monitor import recall_of
from tests.support.search_encoder import MODELS, encode
from tests.support.search_stack import (
    GALLERY,
    LANDMARKS,
    PHOTOS_EACH,
    Qdrant,
    Stack,
    draw,
    error_of,
    fill,
    photos,
    stack_running,
)

pytestmark = pytest.mark.integration

QUERY = draw("Atomium", 99)
MODEL = "thumbnail"


def ids(hits: object) -> list[str]:
    return [hit.point.id for hit in hits]  # type: ignore[attr-defined]


async def search(stack: Stack, **fields: object) -> pb.SearchResponse:
    request = pb.SearchRequest(**{"gallery": GALLERY, **fields})  # type: ignore[arg-type]
    if request.WhichOneof("query") is None:
        request.photo = QUERY
    return await stack.search.Search(request, timeout=20)


def ranked(query: np.ndarray, without: tuple[str, ...] = ()) -> list[str]:
    scores = {str(p.id): float(encode(MODEL, p.data) @ query) for p in photos()}
    return [id_ for id_ in sorted(scores, key=lambda one: -scores[one]) if id_ not in without]


async def test_a_box_searches_for_that_part_alone(stack: Stack) -> None:
    answer = await search(stack, box=BoxMessage(left=0.25, top=0.5, right=1, bottom=1), limit=60)

    for ranking in answer.rankings:
        query = encode(ranking.model, QUERY, Box(0.25, 0.5, 1, 1))
        for hit in ranking.hits[:5]:
            [photo] = [p for p in photos() if str(p.id) == hit.point.id]
            assert hit.score == pytest.approx(encode(ranking.model, photo.data) @ query, abs=1e-5)


async def test_several_photos_are_searched_by_their_mean(stack: Stack) -> None:
    some = [draw("Atomium", 99), draw("Atomium", 98), draw("Taj Mahal", 97)]

    answer = await search(
        stack,
        models=[MODEL],
        limit=60,
        examples=pb.Examples(positive=[pb.Example(photo=photo) for photo in some]),
    )

    mean = combined([encode(MODEL, photo) for photo in some], [])
    assert ids(answer.rankings[0].hits)[:20] == ranked(mean)[:20]
    assert stack.encoders[MODEL].batches == 1  # together


async def test_hits_unlike_a_negative_example_rank_first(stack: Stack) -> None:
    wanted, unwanted = photos()[0], photos()[PHOTOS_EACH]  # of two landmarks

    answer = await search(
        stack,
        models=[MODEL],
        limit=60,
        examples=pb.Examples(
            positive=[pb.Example(point_id=str(wanted.id))],
            negative=[pb.Example(point_id=str(unwanted.id))],
        ),
    )

    target = combined([encode(MODEL, wanted.data)], [encode(MODEL, unwanted.data)])
    own = (str(wanted.id), str(unwanted.id))
    assert ids(answer.rankings[0].hits) == ranked(target, without=own)
    assert answer.rankings[0].hits[-1].point.landmark == unwanted.landmark
    assert all(encoder.encoded == 0 for encoder in stack.encoders.values())


async def test_an_unknown_example_is_not_found(stack: Stack) -> None:
    missing = pb.Example(point_id=str(point_id(GALLERY, "test", "nowhere.png")))
    error = await error_of(search(stack, examples=pb.Examples(positive=[missing])))

    assert isinstance(error, NotFoundError)
    assert missing.point_id in str(error)


async def test_examples_that_cancel_each_other_out_are_refused(stack: Stack) -> None:
    with pytest.raises(InvalidInputError, match="cancel each other out"):
        combined([np.array([1, 0], np.float32), np.array([-1, 0], np.float32)], [])


async def test_a_query_is_expanded_by_its_first_hits(stack: Stack) -> None:
    plain = await search(stack, models=[MODEL], limit=60)
    answer = await search(
        stack, models=[MODEL], limit=60, expansion=pb.QueryExpansion(neighbours=5, alpha=2)
    )

    first = [
        Hit(p.id, float(encode(MODEL, p.data) @ encode(MODEL, QUERY)), {}, encode(MODEL, p.data))
        for id_ in ids(plain.rankings[0].hits)[:5]
        for p in photos()
        if str(p.id) == id_
    ]
    improved = expanded(encode(MODEL, QUERY), first, 2)
    assert ids(answer.rankings[0].hits)[:30] == ranked(improved)[:30]
    hits = {str(p.id): float(encode(MODEL, p.data) @ improved) for p in photos()}
    for hit in answer.rankings[0].hits:
        assert hit.score == pytest.approx(hits[hit.point.id], abs=1e-5)


def fill_with_copies(qdrant: Qdrant, gallery: str, copies: int) -> None:
    """Index the photos, and many copies of the first one under other paths."""
    fill(qdrant.settings, gallery)
    client = connect(qdrant.settings)
    store, [first, *_] = PointStore(client, qdrant.settings), photos()
    for model in MODELS:
        name = f"{gallery}__{model}"
        [held] = store.payloads(name, [point_id(gallery, "test", first.path)]).values()
        assert held["sha256"] == sha256(first.data).hexdigest()
        vector = encode(model, first.data)
        points = [
            Point(point_id(gallery, "test", f"copy/{n}.png"), vector, {**held, "path": f"{n}"})  # type: ignore[dict-item]
            for n in range(copies)
        ]
        store.upsert(name, points)
    client.close()


async def test_of_hits_with_the_same_score_each_is_on_one_page(
    stack: Stack, qdrant: Qdrant
) -> None:
    fill_with_copies(qdrant, "equals", 15)
    asked = {"gallery": "equals", "photo": photos()[0].data, "models": [MODEL]}

    whole = await search(stack, limit=30, **asked)
    pages = [await search(stack, limit=10, offset=offset, **asked) for offset in (0, 10, 20)]

    assert ids([hit for page in pages for hit in page.fused]) == ids(whole.fused)
    paged = [hit for page in pages for hit in page.rankings[0].hits]
    assert paged == list(whole.rankings[0].hits)


async def test_of_photos_with_the_same_bytes_one_is_kept_on_all_pages(
    stack: Stack, qdrant: Qdrant
) -> None:
    copies = 130
    first = photos()[0]
    fill_with_copies(qdrant, "copies", copies)
    total = len(LANDMARKS) * PHOTOS_EACH

    every = await search(stack, gallery="copies", photo=first.data, limit=1000)
    once = await search(
        stack, gallery="copies", photo=first.data, limit=1000, collapse_identical=True
    )
    pages = [
        await search(
            stack,
            gallery="copies",
            photo=first.data,
            limit=20,
            offset=offset,
            collapse_identical=True,
        )
        for offset in range(0, total, 20)
    ]

    assert len(every.fused) == total + copies
    for place in range(len(MODELS)):
        hits = once.rankings[place].hits
        assert len({hit.point.payload["sha256"] for hit in hits}) == len(hits) == total
        assert [hit for page in pages for hit in page.rankings[place].hits] == list(hits)
    assert len(once.fused) == total
    assert ids([hit for page in pages for hit in page.fused]) == ids(once.fused)


async def test_models_that_prefer_different_copies_show_the_same_one(
    stack: Stack, qdrant: Qdrant
) -> None:
    fill(qdrant.settings, "twins")
    [first, *_] = photos()
    client = connect(qdrant.settings)
    store = PointStore(client, qdrant.settings)
    twin = point_id("twins", "test", "twin.png")
    for model, (own, others) in zip(MODELS, ((1.0, 0.98), (0.98, 1.0)), strict=True):
        name, vector = f"twins__{model}", encode(model, first.data)
        aside = np.roll(vector, 1)
        [(id_, payload)] = store.payloads(name, [point_id("twins", "test", first.path)]).items()
        for id_here, likeness in ((id_, own), (twin, others)):
            near = likeness * vector + (1 - likeness) * aside
            near = (near / np.linalg.norm(near)).astype(np.float32)
            store.upsert(name, [Point(id_here, near, payload)])  # type: ignore[arg-type]
    client.close()

    answer = await search(
        stack, gallery="twins", photo=first.data, limit=100, collapse_identical=True
    )

    assert len(answer.fused) == len(LANDMARKS) * PHOTOS_EACH
    assert answer.fused[0].point.payload["sha256"] == sha256(first.data).hexdigest()
    assert [one.rank for one in answer.fused[0].standings] == [1, 1]
    assert {ranking.hits[0].point.id for ranking in answer.rankings} == {answer.fused[0].point.id}


async def test_a_batch_is_encoded_together_and_answers_as_single_searches_do(stack: Stack) -> None:
    searches = [
        pb.SearchRequest(gallery=GALLERY, photo=draw(name, 50), limit=4) for name in LANDMARKS
    ]
    searches.append(pb.SearchRequest(gallery=GALLERY, point_id=str(photos()[0].id), models=[MODEL]))
    alone = [await stack.search.Search(one, timeout=20) for one in searches]
    for encoder in stack.encoders.values():
        encoder.encoded = 0

    answer = await stack.search.BatchSearch(pb.BatchSearchRequest(searches=searches), timeout=20)

    assert {model: encoder.batches for model, encoder in stack.encoders.items()} == dict.fromkeys(
        MODELS, 1
    )
    assert all(encoder.encoded == len(LANDMARKS) for encoder in stack.encoders.values())
    for one, result in zip(alone, answer.results, strict=True):
        assert ids(result.response.fused) == ids(one.fused)
        assert result.response.verdict == one.verdict
        assert [ranking.model for ranking in result.response.rankings] == [
            ranking.model for ranking in one.rankings
        ]


async def test_a_search_of_a_batch_that_fails_leaves_the_others(stack: Stack) -> None:
    good = pb.SearchRequest(gallery=GALLERY, photo=QUERY)
    searches = [
        good,
        pb.SearchRequest(gallery=GALLERY, photo=b"not a photo"),
        pb.SearchRequest(gallery=GALLERY, photo=QUERY, limit=0),
        pb.SearchRequest(gallery=GALLERY, photo=QUERY, models=["vgg16"]),
        pb.SearchRequest(gallery=GALLERY, point_id=str(point_id(GALLERY, "test", "nowhere"))),
        good,
    ]

    answer = await stack.search.BatchSearch(pb.BatchSearchRequest(searches=searches), timeout=20)

    codes = [result.error.code for result in answer.results]
    assert codes == [0, Code.INVALID_ARGUMENT, Code.INVALID_ARGUMENT, *[Code.NOT_FOUND] * 2, 0]
    assert "not a photo" in answer.results[1].error.message
    assert "limit" in answer.results[2].error.message
    assert ids(answer.results[0].response.fused) == ids(answer.results[5].response.fused)


@pytest.mark.parametrize(
    "searches",
    [
        [],
        [pb.SearchRequest(gallery=GALLERY, photo=QUERY)] * 65,
        [pb.SearchRequest(gallery=name, photo=QUERY) for name in (GALLERY, "other")],
        [pb.SearchRequest(gallery=GALLERY, photo=QUERY, offset=10_000)] * 2,
    ],
)
async def test_an_invalid_batch_is_refused(stack: Stack, searches: list[pb.SearchRequest]) -> None:
    call = stack.search.BatchSearch(pb.BatchSearchRequest(searches=searches), timeout=20)
    error = await error_of(call)

    assert isinstance(error, InvalidInputError)
    assert error.field == "searches"


async def test_the_points_of_each_landmark_are_counted(stack: Stack) -> None:
    answer = await stack.search.CountValues(pb.CountValuesRequest(gallery=GALLERY), timeout=20)

    assert {one.value.text: one.points for one in answer.values} == dict.fromkeys(
        LANDMARKS, PHOTOS_EACH
    )
    some = await stack.search.CountValues(
        pb.CountValuesRequest(
            gallery=GALLERY,
            model=MODEL,
            limit=2,
            filter=pb.Filter(
                must=[pb.Condition(field="even", equals=pb.FieldValue(boolean=True))],
                must_not=[pb.Condition(field="landmark", equals=pb.FieldValue(text=LANDMARKS[0]))],
            ),
        ),
        timeout=20,
    )
    assert [one.points for one in some.values] == [PHOTOS_EACH // 2] * 2
    assert some.collection.startswith(f"{GALLERY}__{MODEL}__")


async def test_the_points_of_each_year_and_month_are_counted(stack: Stack) -> None:
    async def count(period: pb.Period.ValueType, **more: object) -> list[tuple[object, int]]:
        request = pb.CountValuesRequest(gallery=GALLERY, field="taken", period=period, **more)  # type: ignore[arg-type]
        answer = await stack.search.CountValues(request, timeout=20)
        return [(one.value.text or one.value.integer, one.points) for one in answer.values]

    third = len(LANDMARKS) * PHOTOS_EACH // 3
    assert await count(pb.PERIOD_YEAR) == [(2022, third), (2021, third), (2020, third)]
    assert await count(pb.PERIOD_YEAR, limit=2) == [(2022, third), (2021, third)]
    assert await count(pb.PERIOD_MONTH, limit=3) == [
        ("2022-07", third // 2),
        ("2022-06", third // 2),
        ("2021-07", third // 2),
    ]
    even = pb.Filter(must=[pb.Condition(field="even", equals=pb.FieldValue(boolean=True))])
    june = ["2022-06", "2021-06", "2020-06"]
    assert await count(pb.PERIOD_MONTH, filter=even) == [(one, third // 2) for one in june]


async def test_times_places_and_alternatives_are_conditions_of_a_search(stack: Stack) -> None:
    async def found(filter_: pb.Filter) -> set[tuple[object, ...]]:
        answer = await search(stack, models=[MODEL], limit=100, filter=filter_)
        payloads = [hit.point.payload for hit in answer.rankings[0].hits]
        return {(one["taken"][:4], one["even"]) for one in payloads}

    since = Timestamp()
    since.FromJsonString("2022-01-01T00:00:00Z")
    late = pb.Condition(field="taken", time_range=pb.TimeRange(gte=since))
    even = pb.Condition(field="even", equals=pb.FieldValue(boolean=True))
    assert await found(pb.Filter(must=[late])) == {("2022", True), ("2022", False)}
    assert await found(
        pb.Filter(must_not=[pb.Condition(filter=pb.Filter(should=[late, even]))])
    ) == {
        ("2020", False),
        ("2021", False),
    }
    # No date is a number, although the index compares them as if they were.
    number = pb.Condition(field="taken", range=pb.NumberRange(gte=0))
    assert await found(pb.Filter(must=[number])) == set()
    assert await found(pb.Filter(must=[pb.Condition(field="landmark", empty=True)])) == set()


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        ({"field": "number", "period": pb.PERIOD_YEAR}, InvalidInputError, "of times are: taken"),
        ({"field": "taken"}, InvalidInputError, "it is indexed as datetime"),
        ({"field": "number"}, InvalidInputError, "landmark, path, sha256, source"),
        ({"limit": -1}, InvalidInputError, "1 to 10000"),
        ({"model": "vgg16"}, NotFoundError, "histogram, thumbnail"),
        ({"gallery": "nowhere"}, NotFoundError, "gallery 'nowhere' does not exist"),
        (
            {"filter": pb.Filter(must=[pb.Condition(field="path", words="a")])},
            InvalidInputError,
            "fields with words are: none",
        ),
    ],
)
async def test_invalid_counts_are_refused(
    stack: Stack, fields: dict[str, object], kind: type[Exception], said: str
) -> None:
    request = pb.CountValuesRequest(**{"gallery": GALLERY, **fields})  # type: ignore[arg-type]
    error = await error_of(stack.search.CountValues(request, timeout=20))

    assert isinstance(error, kind)
    assert said in str(error)


async def test_words_of_a_field_without_a_text_index_are_refused(stack: Stack) -> None:
    for field in ("caption", "path"):  # no photo has a caption
        words = pb.Filter(must=[pb.Condition(field=field, words="dome")])
        error = await error_of(search(stack, filter=words))
        assert isinstance(error, InvalidInputError)
        assert f"words of {field!r} cannot be searched for" in str(error)
        assert "LANDMARKS_QDRANT_TEXT_FIELDS" in str(error)


async def test_a_damaged_photo_among_examples_is_reported(stack: Stack) -> None:
    some = [pb.Example(photo=QUERY), pb.Example(photo=b"not a photo")]
    error = await error_of(search(stack, examples=pb.Examples(positive=some)))

    assert isinstance(error, InvalidPhotoError)


@pytest.fixture
async def measured(qdrant: Qdrant) -> AsyncIterator[Stack]:
    async with stack_running(qdrant.settings, recall_share=1.0) as stack:
        yield stack


async def test_recall_is_measured_while_searches_are_answered(measured: Stack) -> None:
    for _ in range(3):
        await search(measured, models=[MODEL])
        await asyncio.sleep(0.3)

    answer = await measured.indexing.ListCollections(
        indexing_pb2.ListCollectionsRequest(gallery=GALLERY), timeout=20
    )
    by_model = {one.model: one for one in answer.collections}
    assert by_model[MODEL].recall == 1  # so few points are searched exactly
    assert by_model[MODEL].recall_queries >= 1
    assert not by_model["histogram"].HasField("recall")


def hits(*scores: float) -> list[Hit]:
    return [Hit(point_id("g", "s", str(n)), score, {}) for n, score in enumerate(scores)]


def test_recall_is_the_share_of_the_exact_hits_and_ties_count() -> None:
    assert recall_of(hits(0.9, 0.8, 0.7), hits(0.9, 0.8, 0.7)) == 1
    assert recall_of(hits(0.9, 0.7, 0.6), hits(0.9, 0.8, 0.7)) == pytest.approx(2 / 3)
    assert recall_of(hits(0.9, 0.7, 0.7), hits(0.9, 0.7)) == 1
    assert recall_of([], hits(0.9)) == 0
    assert recall_of([], []) == 1
