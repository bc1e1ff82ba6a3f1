"""Searching a gallery: over gRPC, in a real Qdrant, with encoders that encode colours."""

from __future__ import annotations

import math
from uuid import uuid4

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError, InvalidPhotoError, NotFoundError
from tests.support.search_encoder import MODELS, digest_of, encode
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
)

pytestmark = pytest.mark.integration

ALL = len(LANDMARKS) * PHOTOS_EACH
QUERY = draw("Atomium", 99)  # a photo that is not in the gallery


def ids(hits: list[pb.Hit] | list[pb.FusedHit]) -> list[str]:
    return [hit.point.id for hit in hits]


async def search(stack: Stack, **fields: object) -> pb.SearchResponse:
    request = pb.SearchRequest(**{"gallery": GALLERY, **fields})  # type: ignore[arg-type]
    if request.WhichOneof("query") is None:
        request.photo = QUERY
    return await stack.search.Search(request, timeout=20)


async def test_a_photo_finds_the_photos_of_its_landmark_with_every_model(stack: Stack) -> None:
    answer = await search(stack)

    assert [ranking.model for ranking in answer.rankings] == sorted(MODELS)
    for ranking in answer.rankings:
        assert {hit.point.landmark for hit in ranking.hits} == {"Atomium"}
        assert [hit.rank for hit in ranking.hits] == list(range(1, 11))
        scores = [hit.score for hit in ranking.hits]
        assert scores == sorted(scores, reverse=True)
        assert ranking.digest == digest_of(ranking.model)
        assert ranking.collection == f"{GALLERY}__{ranking.model}__{ranking.digest[:8]}"
        assert ranking.timings.encode.ToNanoseconds() > 0
        assert ranking.timings.query.ToNanoseconds() > 0
    assert answer.total.ToNanoseconds() > 0
    assert not answer.partial
    assert not answer.failures


async def test_scores_are_cosine_similarities(stack: Stack) -> None:
    answer = await search(stack, limit=1000, exact=True)

    for ranking in answer.rankings:
        query = encode(ranking.model, QUERY)
        expected = {str(p.id): float(encode(ranking.model, p.data) @ query) for p in photos()}
        assert len(ranking.hits) == ALL
        for hit in ranking.hits:
            assert hit.score == pytest.approx(expected[hit.point.id], abs=1e-5)


async def test_each_fused_hit_has_its_rank_in_each_model(stack: Stack) -> None:
    answer = await search(stack, limit=1000)

    places = {
        (ranking.model, hit.point.id): (hit.rank, hit.score)
        for ranking in answer.rankings
        for hit in ranking.hits
    }
    assert [hit.rank for hit in answer.fused] == list(range(1, ALL + 1))
    for hit in answer.fused:
        for standing in hit.standings:
            assert places[standing.model, hit.point.id] == (standing.rank, standing.score)
        assert hit.score == pytest.approx(sum(1 / (60 + one.rank) for one in hit.standings))


async def test_the_nearest_photos_vote_for_the_landmark(stack: Stack) -> None:
    answer = await search(stack, limit=1)

    assert answer.verdict.outcome == pb.Verdict.OUTCOME_UNCALIBRATED
    assert answer.verdict.landmark == "Atomium"
    assert answer.verdict.vote_share == 1
    assert len(answer.verdict.evidence_point_ids) == 10


async def test_a_hit_has_all_stored_fields_of_the_photo(stack: Stack) -> None:
    photo = photos()[0]
    answer = await search(stack, photo=photo.data, limit=1)

    point = answer.fused[0].point
    assert point.id == str(photo.id)
    assert point.uri == f"file:///test/{photo.path}"
    payload = MessageToDict(point.payload)
    assert payload["landmark"] == photo.landmark
    assert (payload["number"], payload["even"], payload["width"]) == (0, True, 32)


async def test_the_rankings_are_in_the_requested_order_of_models(stack: Stack) -> None:
    answer = await search(stack, models=["thumbnail", "histogram"])

    assert [ranking.model for ranking in answer.rankings] == ["thumbnail", "histogram"]


async def test_a_search_with_one_model_uses_no_other(stack: Stack) -> None:
    answer = await search(stack, models=["thumbnail"])

    [ranking] = answer.rankings
    assert ids(list(answer.fused)) == ids(list(ranking.hits))
    assert stack.encoders["histogram"].encoded == 0


async def test_a_gallery_is_searched_with_the_models_it_is_indexed_with(
    stack: Stack, qdrant: Qdrant
) -> None:
    fill(qdrant.settings, "one-model", ["thumbnail"], each=1)

    answer = await search(stack, gallery="one-model")

    assert [ranking.model for ranking in answer.rankings] == ["thumbnail"]
    assert not answer.partial


async def test_a_stored_point_finds_similar_points_and_not_itself(stack: Stack) -> None:
    photo = photos()[0]

    answer = await search(stack, point_id=str(photo.id), limit=1000)

    for ranking in answer.rankings:
        found = ids(list(ranking.hits))
        assert str(photo.id) not in found
        assert len(found) == ALL - 1
        assert ranking.hits[0].point.landmark == photo.landmark
        assert not ranking.timings.HasField("encode")
    assert str(photo.id) not in ids(list(answer.fused))
    assert all(encoder.encoded == 0 for encoder in stack.encoders.values())


async def test_a_vector_finds_what_its_photo_finds(stack: Stack) -> None:
    values = encode("thumbnail", QUERY) * 5

    by_vector = await search(stack, vector=pb.ModelVector(model="thumbnail", values=values))
    by_photo = await search(stack, models=["thumbnail"])

    assert ids(list(by_vector.fused)) == ids(list(by_photo.fused))
    assert [ranking.model for ranking in by_vector.rankings] == ["thumbnail"]


@pytest.mark.parametrize("models", [["histogram", "thumbnail"], ["thumbnail"]])
@pytest.mark.parametrize("size", [7, 20])
async def test_pages_put_together_are_one_big_page(
    stack: Stack, models: list[str], size: int
) -> None:
    whole = await search(stack, models=models, limit=1000)
    pages = [
        await search(stack, models=models, limit=size, offset=offset)
        for offset in range(0, ALL + size, size)
    ]

    assert [h for page in pages for h in page.fused] == list(whole.fused)
    for place in range(len(models)):
        paged = [hit for page in pages for hit in page.rankings[place].hits]
        assert paged == list(whole.rankings[place].hits)
    assert all(page.verdict == whole.verdict for page in pages)


async def test_fused_pages_do_not_change_beyond_the_first_hundred_places(
    stack: Stack, qdrant: Qdrant
) -> None:
    fill(qdrant.settings, "larger", each=30)
    whole = await search(stack, gallery="larger", limit=1000)
    pages = [
        await search(stack, gallery="larger", limit=45, offset=offset)
        for offset in range(0, 180, 45)
    ]

    assert len(whole.fused) == 150
    assert [hit.point.id for page in pages for hit in page.fused] == ids(list(whole.fused))


async def test_a_page_beyond_the_end_is_empty(stack: Stack) -> None:
    answer = await search(stack, offset=10_000)

    assert not answer.fused
    assert not answer.rankings[0].hits
    assert answer.verdict.landmark == "Atomium"


def equals(field: str, value: str | bool) -> pb.Condition:
    kind = "boolean" if isinstance(value, bool) else "text"
    return pb.Condition(field=field, equals=pb.FieldValue(**{kind: value}))  # type: ignore[arg-type]


async def test_only_points_that_pass_the_filter_are_hits(stack: Stack) -> None:
    answer = await search(
        stack,
        limit=1000,
        filter=pb.Filter(
            must=[
                equals("even", value=True),
                pb.Condition(field="number", range=pb.NumberRange(gte=2, lt=8)),
                pb.Condition(
                    field="landmark",
                    any_of=pb.FieldValues(
                        values=[pb.FieldValue(text=name) for name in LANDMARKS[:3]]
                    ),
                ),
            ],
            must_not=[equals("landmark", LANDMARKS[0])],
        ),
    )

    expected = {
        str(photo.id)
        for photo in photos()
        if photo.number in (2, 4, 6) and photo.landmark in LANDMARKS[1:3]
    }
    for ranking in answer.rankings:
        assert set(ids(list(ranking.hits))) == expected
    assert set(ids(list(answer.fused))) == expected
    assert answer.verdict.landmark in LANDMARKS[1:3]


async def test_if_no_point_passes_the_filter_there_are_no_hits_and_no_verdict(stack: Stack) -> None:
    answer = await search(stack, filter=pb.Filter(must=[equals("landmark", "Nowhere")]))

    assert not answer.fused
    assert answer.verdict.outcome == pb.Verdict.OUTCOME_NO_HITS
    assert not answer.partial


async def test_hits_score_at_least_the_threshold(stack: Stack) -> None:
    every = await search(stack, models=["histogram"], limit=1000)
    threshold = every.rankings[0].hits[9].score

    answer = await search(stack, models=["histogram"], limit=1000, score_threshold=threshold - 1e-6)

    assert ids(list(answer.rankings[0].hits)) == ids(list(every.rankings[0].hits))[:10]


async def test_settings_of_the_index_are_passed_on(stack: Stack) -> None:
    plain = await search(stack)

    for fields in ({"exact": True}, {"hnsw_ef": 256}, {"oversampling": 2.0}):
        assert ids(list((await search(stack, **fields)).fused)) == ids(list(plain.fused))


async def test_a_point_can_be_read(stack: Stack) -> None:
    photo = photos()[3]

    answer = await stack.search.GetPoint(
        pb.GetPointRequest(gallery=GALLERY, point_id=str(photo.id)), timeout=20
    )

    assert (answer.point.id, answer.point.landmark) == (str(photo.id), photo.landmark)
    assert answer.point.payload["path"] == photo.path
    assert list(answer.models) == sorted(MODELS)


async def test_the_models_are_listed_with_their_description(stack: Stack) -> None:
    await stack.encoders["thumbnail"].stop()

    answer = await stack.search.ListModels(pb.ListModelsRequest(), timeout=20)

    histogram, thumbnail = answer.models
    assert (histogram.name, histogram.ready, histogram.reason) == ("histogram", True, "")
    assert (histogram.dimension, histogram.digest) == (64, digest_of("histogram"))
    assert histogram.target == stack.encoders["histogram"].target
    assert (thumbnail.name, thumbnail.ready) == ("thumbnail", False)
    assert stack.encoders["thumbnail"].target in thumbnail.reason


async def refused(stack: Stack, **fields: object) -> Exception:
    return await error_of(search(stack, **fields))


async def test_bytes_that_are_not_an_image_are_one_clear_error(stack: Stack) -> None:
    error = await refused(stack, photo=b"this is not a photo")

    assert isinstance(error, InvalidPhotoError)
    assert str(error) == "the bytes are not a photo that can be read"


async def test_an_unknown_gallery_is_not_found_and_the_known_ones_are_named(stack: Stack) -> None:
    error = await refused(stack, gallery="nowhere")

    assert isinstance(error, NotFoundError)
    assert "'nowhere'" in str(error)
    assert GALLERY in str(error)
    assert "landmarks index" in str(error)


async def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(stack: Stack) -> None:
    error = await refused(stack, models=["histogram", "vgg16"])

    assert isinstance(error, NotFoundError)
    assert "'vgg16'" in str(error)
    assert "histogram, thumbnail" in str(error)


async def test_an_unknown_point_is_not_found(stack: Stack) -> None:
    id_ = str(uuid4())

    for call in (
        search(stack, point_id=id_),
        stack.search.GetPoint(pb.GetPointRequest(gallery=GALLERY, point_id=id_), timeout=20),
    ):
        error = await error_of(call)
        assert isinstance(error, NotFoundError)
        assert id_ in str(error)


async def test_a_malformed_point_id_is_invalid(stack: Stack) -> None:
    for call in (
        search(stack, point_id="17"),
        stack.search.GetPoint(pb.GetPointRequest(gallery=GALLERY, point_id="17"), timeout=20),
    ):
        error = await error_of(call)
        assert isinstance(error, InvalidInputError)
        assert error.field == "point_id"


@pytest.mark.parametrize(
    "values", [np.zeros(48), np.full(48, math.nan), np.full(48, math.inf), np.ones(0)]
)
async def test_an_invalid_vector_is_refused(stack: Stack, values: np.ndarray) -> None:
    error = await refused(stack, vector=pb.ModelVector(model="thumbnail", values=values))

    assert isinstance(error, InvalidInputError)
    assert error.field == "vector"


@pytest.mark.parametrize("length", [1, 47, 64])
async def test_the_error_for_a_vector_of_the_wrong_length_names_the_right_one(
    stack: Stack, length: int
) -> None:
    error = await refused(stack, vector=pb.ModelVector(model="thumbnail", values=np.ones(length)))

    assert isinstance(error, InvalidInputError)
    assert error.field == "vector"
    assert str(error) == (f"the vector has {length} values; vectors of 'thumbnail' have 48")


@pytest.mark.parametrize("limit", [0, -1, 100_000])
async def test_a_limit_out_of_range_is_invalid(stack: Stack, limit: int) -> None:
    error = await refused(stack, limit=limit)

    assert isinstance(error, InvalidInputError)
    assert error.field == "limit"
    assert "1 to 1000" in str(error)
