"""No answer depends on whether a field has one of the indexes that this program makes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from qdrant_client import models

from landmarks.vector_store.filters import AnyOf, Condition, Equals, Filter, Range, Words, to_qdrant
from landmarks.vector_store.marks import GENERATION, MARK, PLANNED
from landmarks.vector_store.payload_indexes import INDEXED_FIELDS
from landmarks.vector_store.points import PayloadValue, point_id
from tests.support.stores import DIMENSION, StoreUnderTest, unit_rows

pytestmark = pytest.mark.integration

# What a column can hold: a manifest gives texts, an import the rest too.
VALUES: Sequence[PayloadValue] = (
    "Atomium",
    "atomium",
    "a golden dome",
    "Sacré-Cœur",
    "1889",
    "",
    " ",
    1889,
    1889.0,
    1889.5,
    -1,
    0,
    2**53 + 1,
    True,
    False,
    None,
)
ASKED: Sequence[str | int | bool] = ("Atomium", "1889", "", 1889, 0, -1, 2**53 + 1, True, False)


def conditions(field: str) -> list[Condition]:
    bounds = [
        {"gte": 1889},
        {"gt": 1889},
        {"lt": 1889.5},
        {"lte": 1889.5, "gte": 1889.5},
        {"gte": -1, "lt": 0},
        {"lte": 0},
        {"gte": 2.0**53},
    ]
    return [
        *(Equals(field, one) for one in ASKED),
        AnyOf(field, ("Atomium", "1889", "none")),
        AnyOf(field, (1889, 0)),
        *(Range(field, **one) for one in bounds),
    ]


def ids(count: int) -> list[UUID]:
    return [point_id("sample", "photos", str(n)) for n in range(count)]


def stored(engine: StoreUnderTest, name: str, field: str, *, under: str = "") -> None:
    rows = unit_rows(len(VALUES) + 1)
    payloads: list[dict[str, object]] = [{field: value} for value in VALUES]
    payloads.append({})  # without the field
    engine.client.upsert(
        name,
        [
            models.PointStruct(
                id=str(one), vector=row.tolist(), payload={under: payload} if under else payload
            )
            for one, row, payload in zip(ids(len(payloads)), rows, payloads, strict=True)
        ],
        wait=True,
    )


def found(engine: StoreUnderTest, name: str, one: Filter, under: str = "") -> list[str]:
    page, _ = engine.client.scroll(name, to_qdrant(one, under=under), limit=100)
    return [str(record.id) for record in page]


def bare(engine: StoreUnderTest) -> str:
    """A collection without any index."""
    name = f"{engine.gallery}__bare__00000000"
    engine.client.create_collection(
        name, models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    )
    return name


@pytest.mark.parametrize("field", [*INDEXED_FIELDS, MARK, "caption"])
def test_a_filter_means_the_same_with_and_without_our_index(
    wire_engine: StoreUnderTest, field: str
) -> None:
    with_index, without = wire_engine.collection().name, bare(wire_engine)
    wire_engine.collections.index_columns_of(with_index, ["caption"])
    assert field in wire_engine.client.get_collection(with_index).payload_schema
    for name in (with_index, without):
        stored(wire_engine, name, field)
    for one in conditions(field):
        for chosen in (Filter(must=(one,)), Filter(must_not=(one,))):
            assert found(wire_engine, with_index, chosen) == found(wire_engine, without, chosen), (
                chosen
            )


def test_a_generation_is_a_whole_number_and_compared_as_one(wire_engine: StoreUnderTest) -> None:
    """Its integer index would lose 1889.5 and gain 1889.0; nobody stores such a generation."""
    with_index, without = wire_engine.collection().name, bare(wire_engine)
    rows = unit_rows(4)
    for name in (with_index, without):
        wire_engine.client.upsert(
            name,
            [
                models.PointStruct(id=str(one), vector=row.tolist(), payload={GENERATION: value})
                for one, row, value in zip(ids(4), rows, (0, 1, 7, 2**40), strict=True)
            ],
            wait=True,
        )
    for one in (Equals(GENERATION, 7), Range(GENERATION, gte=1), Range(GENERATION, gte=2.0**40)):
        for chosen in (Filter(must=(one,)), Filter(must_not=(one,))):
            assert found(wire_engine, with_index, chosen) == found(wire_engine, without, chosen)


@pytest.mark.parametrize("text", ["golden", "GOLDEN dome", "gold", "sacre", "dome golden", "1889"])
def test_words_of_a_photo_and_of_its_reservation_are_the_same(
    wire_engine: StoreUnderTest, text: str
) -> None:
    """A deletion by words finds a photo that is just being written, and no other."""
    name = wire_engine.collection().name
    wire_engine.collections.index_columns_of(name, ["caption"])
    chosen = Filter(must=(Words("caption", text),))
    stored(wire_engine, name, "caption")
    of_photos = found(wire_engine, name, chosen)
    stored(wire_engine, name, "caption", under=PLANNED)  # in their place
    assert found(wire_engine, name, chosen) == []
    assert found(wire_engine, name, chosen, PLANNED) == of_photos
