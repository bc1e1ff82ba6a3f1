"""The Python client, against a real search service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.client import Landmarks
from landmarks.errors import InvalidInputError, NotFoundError, UnavailableError
from tests.support.edge import free_port
from tests.support.search_encoder import MODELS, encode
from tests.support.search_stack import GALLERY, Stack, draw, photos

Answer = TypeVar("Answer")

pytestmark = pytest.mark.integration

QUERY = draw("Atomium", 99)


async def asked(stack: Stack, ask: Callable[[Landmarks], Answer]) -> Answer:
    """Ask from a thread: the service runs in the test's own loop."""

    def ask_and_close() -> Answer:
        with Landmarks(stack.target) as client:
            return ask(client)

    return await asyncio.to_thread(ask_and_close)


async def test_it_searches_by_photo_point_and_vector(stack: Stack) -> None:
    by_photo = await asked(stack, lambda c: c.search(photo=QUERY, gallery=GALLERY, limit=3))
    by_point = await asked(
        stack, lambda c: c.search(point_id=str(photos()[0].id), gallery=GALLERY, offset=2)
    )
    vector = encode("thumbnail", QUERY).tolist()
    by_vector = await asked(
        stack, lambda c: c.search(vector=("thumbnail", vector), gallery=GALLERY, models=())
    )

    assert len(by_photo.fused) == 3
    assert by_point.fused[0].rank == 3
    assert [ranking.model for ranking in by_vector.rankings] == ["thumbnail"]


async def test_where_gives_fields_their_value_or_one_of_several(stack: Stack) -> None:
    answer = await asked(
        stack,
        lambda c: c.search(
            photo=QUERY,
            gallery=GALLERY,
            where={"number": [1, 2], "landmark": "Atomium"},
            filter=pb.Filter(
                must_not=[pb.Condition(field="number", equals=pb.FieldValue(integer=2))]
            ),
        ),
    )

    assert [(h.point.landmark, h.point.payload["number"]) for h in answer.fused] == [("Atomium", 1)]


async def test_it_reads_points_and_models(stack: Stack) -> None:
    point = await asked(stack, lambda c: c.point(GALLERY, str(photos()[0].id)))
    models = await asked(stack, lambda c: c.models())

    assert point.point.landmark == photos()[0].landmark
    assert [model.name for model in models] == sorted(MODELS)


async def test_what_the_service_refuses_is_raised_as_it_is(stack: Stack) -> None:
    with pytest.raises(NotFoundError, match="there is no gallery 'nowhere'"):
        await asked(stack, lambda c: c.search(photo=QUERY, gallery="nowhere"))
    with pytest.raises(InvalidInputError, match="limit") as caught:
        await asked(stack, lambda c: c.search(photo=QUERY, gallery=GALLERY, limit=0))
    assert caught.value.field == "limit"


@pytest.mark.parametrize("queries", [{}, {"photo": QUERY, "point_id": "7"}])
async def test_exactly_one_query_is_given(stack: Stack, queries: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="give one of photo, point_id and vector"):
        await asked(stack, lambda c: c.search(gallery=GALLERY, **queries))  # type: ignore[arg-type]


def test_where_nothing_runs_it_says_so_and_what_to_do() -> None:
    port = free_port()

    with (
        Landmarks(f"127.0.0.1:{port}") as client,
        pytest.raises(UnavailableError, match=f"127.0.0.1:{port}.*landmarks up"),
    ):
        client.models()
