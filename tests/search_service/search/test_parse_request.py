from __future__ import annotations

import math
from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest

from landmarkapi.encoder.v1.encoder_pb2 import Box as BoxMessage
from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError, InvalidPhotoError
from landmarks.photos.box import Box
from landmarks.vector_store.filters import AnyOf, Empty, Equals, Filter, Range, Words
from landmarks.vector_store.geo_filters import Inside, Near
from search_service.search.parse_request import parse_search
from search_service.search.query import (
    ExamplesQuery,
    Expansion,
    FusionChoice,
    FusionMethod,
    PhotoQuery,
    PointQuery,
    SearchQuery,
    VectorQuery,
)

POINT = "6f1c6b6d-4a11-5d7e-9b57-0d0f7c0e5a0b"


def request(**fields: object) -> pb.SearchRequest:
    return pb.SearchRequest(**{"gallery": "sample", "photo": b"bytes", **fields})  # type: ignore[arg-type]


def vector(*values: float, model: str = "vgg16") -> pb.SearchRequest:
    return pb.SearchRequest(gallery="sample", vector=pb.ModelVector(model=model, values=values))


def refused(asked: pb.SearchRequest) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        parse_search(asked)
    return caught.value


def test_missing_fields_have_their_defaults() -> None:
    query = parse_search(request())

    assert query.gallery == "sample"
    assert query.target == PhotoQuery(b"bytes")
    assert (query.models, query.filter) == ((), Filter())
    assert (query.limit, query.offset, query.end) == (10, 0, 10)
    assert (query.score_threshold, query.hnsw_ef, query.oversampling) == (None, None, None)
    assert not query.exact


def test_given_fields_are_kept() -> None:
    query = parse_search(
        request(
            models=["vgg16", "scratch", "vgg16"],
            limit=1000,
            offset=10_000,
            score_threshold=0.5,
            exact=True,
            hnsw_ef=128,
            oversampling=2.5,
        )
    )

    assert query.models == ("vgg16", "scratch")
    assert (query.limit, query.offset, query.end) == (1000, 10_000, 11_000)
    assert (query.score_threshold, query.hnsw_ef, query.oversampling) == (0.5, 128, 2.5)
    assert query.exact


def test_a_photo_is_not_in_any_text_that_could_be_logged() -> None:
    assert "secret" not in repr(parse_search(request(photo=b"secret")))


@pytest.mark.parametrize(
    ("field", "value", "permitted"),
    [
        ("limit", 0, "1 to 1000"),
        ("limit", -1, "1 to 1000"),
        ("limit", 100_000, "1 to 1000"),
        ("offset", -1, "0 to 10000"),
        ("offset", 10_001, "0 to 10000"),
        ("hnsw_ef", 0, "1 to 10000"),
        ("hnsw_ef", 10_001, "1 to 10000"),
        ("oversampling", 0.5, "1 to 100"),
        ("oversampling", 1000.0, "1 to 100"),
        ("oversampling", math.nan, "1 to 100"),
        ("score_threshold", math.nan, "-1 to 1"),
        ("score_threshold", 1.5, "-1 to 1"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_field_and_the_range(
    field: str, value: float, permitted: str
) -> None:
    error = refused(request(**{field: value}))

    assert error.field == field
    assert field in str(error)
    assert f"{value:.10g}" in str(error)
    assert permitted in str(error)


def test_a_query_is_required() -> None:
    error = refused(pb.SearchRequest(gallery="sample"))

    assert error.field == "query"
    assert "set photo, point_id, vector or examples" in str(error)


def test_an_empty_photo_is_not_a_photo() -> None:
    assert isinstance(refused(request(photo=b"")), InvalidPhotoError)


@pytest.mark.parametrize("gallery", ["", "UPPER", "a__b", "../etc", "a" * 65])
def test_an_invalid_gallery_name_is_refused(gallery: str) -> None:
    assert refused(request(gallery=gallery)).field == "gallery"


def test_an_invalid_model_name_is_refused() -> None:
    assert refused(request(models=["vgg16", "VGG 16"])).field == "models"


def test_too_many_models_are_refused() -> None:
    assert refused(request(models=[f"m{number}" for number in range(33)])).field == "models"


def test_a_point_is_queried_by_its_id() -> None:
    query = parse_search(pb.SearchRequest(gallery="sample", point_id=POINT))

    assert query.target == PointQuery(UUID(POINT))


@pytest.mark.parametrize("id_", ["", "7", "not-a-uuid", POINT[:-1], "x" * 5000])
def test_a_points_id_must_be_a_uuid(id_: str) -> None:
    error = refused(pb.SearchRequest(gallery="sample", point_id=id_))

    assert error.field == "point_id"
    assert len(str(error)) < 200


def test_a_vector_is_scaled_to_unit_length_and_names_its_model() -> None:
    query = parse_search(vector(3, 4))

    assert query.models == ("vgg16",)
    assert isinstance(query.target, VectorQuery)
    assert query.target.vector.dtype == np.float32
    np.testing.assert_allclose(query.target.vector, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-38, 3e38])
def test_a_vector_of_extreme_length_is_scaled_too(scale: float) -> None:
    query = parse_search(vector(scale, scale))

    assert isinstance(query.target, VectorQuery)
    np.testing.assert_allclose(query.target.vector, [0.5**0.5] * 2, rtol=1e-3)


@pytest.mark.parametrize(
    "values", [(), (0.0, 0.0), (math.nan, 1.0), (math.inf, 1.0), (-math.inf, 1.0)]
)
def test_a_vector_without_direction_is_refused(values: tuple[float, ...]) -> None:
    assert refused(vector(*values)).field == "vector"


def test_a_vector_without_a_model_is_refused() -> None:
    assert refused(vector(1.0, model="")).field == "vector.model"


@pytest.mark.parametrize("models", [["scratch"], ["vgg16", "scratch"]])
def test_a_vector_is_not_searched_with_another_model(models: list[str]) -> None:
    asked = vector(1.0)
    asked.models.extend(models)

    assert refused(asked).field == "models"


def test_a_vector_may_name_its_model_twice() -> None:
    asked = vector(1.0)
    asked.models.append("vgg16")

    assert parse_search(asked).models == ("vgg16",)


def filtered(*must: pb.Condition) -> SearchQuery:
    return parse_search(request(filter=pb.Filter(must=must)))


def text(value: str) -> pb.FieldValue:
    return pb.FieldValue(text=value)


def test_a_filter_is_kept() -> None:
    query = parse_search(
        request(
            filter=pb.Filter(
                must=[
                    pb.Condition(field="landmark", equals=text("Atomium")),
                    pb.Condition(
                        field="year",
                        any_of=pb.FieldValues(values=[pb.FieldValue(integer=n) for n in (1, 2)]),
                    ),
                    pb.Condition(field="width", range=pb.NumberRange(gte=0, lt=10)),
                ],
                must_not=[pb.Condition(field="stale", equals=pb.FieldValue(boolean=True))],
            )
        )
    )

    assert query.filter == Filter(
        must=(
            Equals("landmark", "Atomium"),
            AnyOf("year", (1, 2)),
            Range("width", gte=0, lt=10),
        ),
        must_not=(Equals("stale", value=True),),
    )


def test_any_of_one_boolean_equals_that_boolean() -> None:
    condition = pb.Condition(
        field="stale", any_of=pb.FieldValues(values=[pb.FieldValue(boolean=False)])
    )

    assert filtered(condition).filter.must == (Equals("stale", value=False),)


def any_of(*values: pb.FieldValue) -> pb.Condition:
    return pb.Condition(field="f", any_of=pb.FieldValues(values=values))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: pb.Condition(equals=text("a")), "filter.must[0].field"),
        (lambda: pb.Condition(field="a.b", equals=text("a")), "filter.must[0].field"),
        (lambda: pb.Condition(field="f"), "filter.must[0]"),
        (lambda: pb.Condition(field="f", equals=pb.FieldValue()), "filter.must[0].equals"),
        (lambda: any_of(), "filter.must[0].any_of"),
        (lambda: any_of(text("a"), pb.FieldValue(integer=1)), "filter.must[0].any_of"),
        (
            lambda: any_of(pb.FieldValue(boolean=True), pb.FieldValue(integer=1)),
            "filter.must[0].any_of",
        ),
        (
            lambda: any_of(pb.FieldValue(boolean=True), pb.FieldValue(boolean=False)),
            "filter.must[0].any_of",
        ),
        (lambda: pb.Condition(field="f", range=pb.NumberRange()), "filter.must[0].range"),
        (lambda: pb.Condition(field="f", time_range=pb.TimeRange()), "filter.must[0].time_range"),
        (
            lambda: pb.Condition(field="f", equals=pb.FieldValue(number=math.nan)),
            "filter.must[0].equals",
        ),
        (lambda: pb.Condition(filter=pb.Filter()), "filter.must[0].filter"),
        (
            lambda: pb.Condition(
                field="f", filter=pb.Filter(must=[pb.Condition(field="f", empty=True)])
            ),
            "filter.must[0].filter",
        ),
        (
            lambda: pb.Condition(filter=pb.Filter(should=[pb.Condition(field="f")])),
            "filter.must[0].filter.should[0]",
        ),
        (lambda: pb.Condition(field="f", near=pb.Circle()), "filter"),
        (lambda: pb.Condition(field="f", inside=pb.PlaceBox(south=2, north=1)), "filter"),
        (
            lambda: pb.Condition(field="f", range=pb.NumberRange(gt=math.nan)),
            "filter.must[0].range.gt",
        ),
    ],
)
def test_an_invalid_condition_is_refused(make: Callable[[], pb.Condition], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        filtered(make())

    assert caught.value.field == field


def test_a_filter_in_a_filter_is_kept() -> None:
    circle = pb.Circle(center=pb.Place(latitude=50, longitude=4), radius_meters=10)
    box = pb.PlaceBox(south=-1, west=170, north=1, east=-170)
    inner = pb.Filter(
        should=[
            pb.Condition(field="f", near=circle),
            pb.Condition(field="f", inside=box),
            pb.Condition(field="f", empty=False),
            pb.Condition(field="f", equals=pb.FieldValue(number=2.5)),
        ]
    )

    assert filtered(pb.Condition(filter=inner)).filter.must == (
        Filter(
            should=(
                Near("f", 50, 4, 10),
                Inside("f", -1, 170, 1, -170),
                Filter(must_not=(Empty("f"),)),
                Equals("f", 2.5),
            )
        ),
    )


def test_conditions_of_inner_filters_count_too_and_their_depth_is_bounded() -> None:
    some = [pb.Condition(field="f", empty=True)] * 60
    halves = [pb.Condition(filter=pb.Filter(must=some))] * 2
    with pytest.raises(InvalidInputError, match="122 conditions"):
        filtered(*halves)
    deep = some[0]
    for _ in range(9):
        deep = pb.Condition(filter=pb.Filter(must=[deep]))
    with pytest.raises(InvalidInputError, match="9 filters are inside one another"):
        filtered(deep)


def test_too_many_conditions_are_refused() -> None:
    conditions = [pb.Condition(field="f", equals=text("a"))] * 101

    with pytest.raises(InvalidInputError, match="101 conditions"):
        filtered(*conditions)


HALF = BoxMessage(left=0.5, right=1, bottom=0.5)


def examples(*positive: pb.Example, negative: tuple[pb.Example, ...] = ()) -> pb.SearchRequest:
    return pb.SearchRequest(
        gallery="sample", examples=pb.Examples(positive=positive, negative=negative)
    )


def test_a_part_of_a_photo_can_be_searched_for() -> None:
    assert parse_search(request(box=HALF)).target == PhotoQuery(b"bytes", Box(0.5, 0, 1, 0.5))


def test_examples_are_photos_parts_of_them_and_points() -> None:
    query = parse_search(
        examples(
            pb.Example(photo=b"one"),
            pb.Example(photo=b"two", box=HALF),
            negative=(pb.Example(point_id=POINT),),
        )
    )

    assert query.target == ExamplesQuery(
        (PhotoQuery(b"one"), PhotoQuery(b"two", Box(0.5, 0, 1, 0.5))), (PointQuery(UUID(POINT)),)
    )
    assert [photo.photo for photo in query.photos] == [b"one", b"two"]
    assert query.points == (UUID(POINT),)


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        (examples(), "examples", "at least one positive"),
        (examples(negative=(pb.Example(photo=b"x"),)), "examples", "0 positive and 1 negative"),
        (examples(*[pb.Example(photo=b"x")] * 33), "examples", "32 in all"),
        (examples(pb.Example()), "examples.positive[0]", "set photo or point_id"),
        (examples(pb.Example(point_id="1")), "examples.positive[0].point_id", "not a UUID"),
        (
            examples(pb.Example(point_id=POINT, box=HALF)),
            "examples.positive[0].box",
            "this example is a point",
        ),
        (examples(pb.Example(photo=b"")), "photo", "no bytes"),
        (
            pb.SearchRequest(gallery="sample", point_id=POINT, box=HALF),
            "box",
            "a part of `photo`",
        ),
        (request(box=BoxMessage(left=1, right=0.5, bottom=1)), "box", "no part of a photo"),
    ],
)
def test_invalid_examples_and_boxes_are_refused_with_their_field(
    asked: pb.SearchRequest, field: str, said: str
) -> None:
    error = refused(asked)

    assert error.field == field
    assert said in str(error)


def test_expansion_and_fusion_are_kept() -> None:
    query = parse_search(
        request(
            expansion=pb.QueryExpansion(neighbours=5),
            collapse_identical=True,
            fusion=pb.Fusion(
                method=pb.FUSION_METHOD_CALIBRATED_SCORE, weights={"vgg16": 2, "scratch": 0}
            ),
        )
    )

    assert query.expansion == Expansion(5, alpha=3)
    assert query.collapse_identical
    assert query.fusion == FusionChoice(
        FusionMethod.CALIBRATED_SCORE, {"vgg16": 2.0, "scratch": 0.0}
    )
    assert parse_search(request()).fusion == FusionChoice(None, {})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"expansion": pb.QueryExpansion()}, "expansion.neighbours"),
        ({"expansion": pb.QueryExpansion(neighbours=51)}, "expansion.neighbours"),
        ({"expansion": pb.QueryExpansion(neighbours=3, alpha=-1)}, "expansion.alpha"),
        ({"expansion": pb.QueryExpansion(neighbours=3, alpha=math.nan)}, "expansion.alpha"),
        ({"fusion": pb.Fusion(method=99)}, "fusion.method"),  # type: ignore[arg-type]
        ({"fusion": pb.Fusion(weights={"vgg16": -1})}, "fusion.weights[vgg16]"),
        ({"fusion": pb.Fusion(weights={"VGG 16": 1})}, "models"),
        ({"fusion": pb.Fusion(weights={"vgg16": 0})}, "fusion.weights"),
    ],
)
def test_expansion_and_fusion_out_of_range_are_refused_with_their_field(
    fields: dict[str, object], field: str
) -> None:
    assert refused(request(**fields)).field == field


def test_words_are_a_test_of_a_field() -> None:
    asked = pb.Filter(must=[pb.Condition(field="caption", words="golden dome")])
    assert parse_search(request(filter=asked)).filter == Filter(
        must=(Words("caption", "golden dome"),)
    )
    empty = pb.Filter(must=[pb.Condition(field="caption", words=" ")])
    assert refused(request(filter=empty)).field == "filter.must[0].words"
