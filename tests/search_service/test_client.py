"""The Python clients, for threads and for an event loop, against a real search service."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from landmarkapi.encoder.v1.encoder_pb2 import Box as BoxMessage
from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.client import AsyncLandmarks, Box, Landmarks
from landmarks.errors import (
    DeadlineError,
    InvalidInputError,
    InvalidPhotoError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
)
from tests.support.ports import free_port
from tests.support.search_encoder import MODELS, encode
from tests.support.search_stack import GALLERY, LANDMARKS, PHOTOS_EACH, Stack, draw, photos

Answer = TypeVar("Answer")
# A client for an event loop, whichever the one under test is.
Client = AsyncLandmarks
Asked = Callable[[Callable[[Client], Awaitable[Answer]]], Awaitable[Answer]]

pytestmark = pytest.mark.integration

QUERY = draw("Atomium", 99)
NOT_TWO = pb.Filter(must_not=[pb.Condition(field="number", equals=pb.FieldValue(integer=2))])


class InThreads:
    """A `Landmarks` with the interface of `AsyncLandmarks`: each call runs in a thread."""

    def __init__(self, target: str) -> None:
        self._client = Landmarks(target)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: object, **named: object) -> object:
            return await asyncio.to_thread(getattr(self._client, name), *arguments, **named)

        return call


@pytest.fixture(params=["threads", "event loop"])
async def client(request: pytest.FixtureRequest, stack: Stack) -> Any:
    made: Any = AsyncLandmarks if request.param == "event loop" else InThreads
    opened = made(stack.target)
    yield opened
    await opened.close()


def test_both_have_the_same_methods_and_parameters() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(value).parameters)
            for name, value in vars(kind).items()
            if callable(value) and not name.startswith("__")
        }

    assert methods(Landmarks) == methods(AsyncLandmarks)


async def test_it_searches_by_photo_point_and_vector(client: Client) -> None:
    by_photo = await client.search(photo=QUERY, gallery=GALLERY, limit=3)
    by_point = await client.search(point_id=str(photos()[0].id), gallery=GALLERY, offset=2)
    vector = encode("thumbnail", QUERY).tolist()
    by_vector = await client.search(vector=("thumbnail", vector), gallery=GALLERY, models=())

    assert len(by_photo.fused) == 3
    assert by_point.fused[0].rank == 3
    assert [ranking.model for ranking in by_vector.rankings] == ["thumbnail"]


async def test_it_searches_by_a_part_of_a_photo(client: Client) -> None:
    part = (0.25, 0.5, 1.0, 1.0)
    by_tuple = await client.search(photo=QUERY, gallery=GALLERY, box=part)
    by_box = await client.search(photo=QUERY, gallery=GALLERY, box=Box(*part))
    whole = await client.search(photo=QUERY, gallery=GALLERY)

    assert by_tuple.rankings[0].hits == by_box.rankings[0].hits
    assert by_tuple.rankings[0].hits[0].score != whole.rankings[0].hits[0].score
    with pytest.raises(InvalidInputError, match="no part of a photo"):
        await client.search(photo=QUERY, gallery=GALLERY, box=(0.5, 0, 0.5, 1))


async def test_it_searches_by_examples_with_expansion_and_weights(client: Client) -> None:
    some = photos()
    answer = await client.search(
        gallery=GALLERY,
        positive=[
            QUERY,
            str(some[0].id),
            pb.Example(photo=QUERY, box=BoxMessage(right=0.5, bottom=1)),
        ],
        negative=[str(some[-1].id)],
        expansion=3,
        alpha=1.0,
        collapse_identical=True,
        fusion="reciprocal_rank",
        weights={"thumbnail": 2.0, "histogram": 0.0},
    )

    assert answer.fusion_method == pb.FUSION_METHOD_RECIPROCAL_RANK
    [thumbnail] = [ranking for ranking in answer.rankings if ranking.model == "thumbnail"]
    assert [hit.point.id for hit in answer.fused] == [hit.point.id for hit in thumbnail.hits]
    assert answer.fused[0].point.landmark == "Atomium"
    with pytest.raises(InvalidInputError, match="there is no fusion 'magic'"):
        await client.search(photo=QUERY, gallery=GALLERY, fusion="magic")  # type: ignore[arg-type]


async def test_where_gives_fields_their_value_or_one_of_several(client: Client) -> None:
    answer = await client.search(
        photo=QUERY,
        gallery=GALLERY,
        where={"number": [1, 2], "landmark": "Atomium"},
        filter=NOT_TWO,
    )

    assert [(h.point.landmark, h.point.payload["number"]) for h in answer.fused] == [("Atomium", 1)]


async def test_each_search_of_a_batch_has_an_answer_or_an_error(client: Client) -> None:
    found, broken, missing = await client.batch_search(
        [
            {"gallery": GALLERY, "photo": QUERY, "limit": 1},
            {"gallery": GALLERY, "photo": b"no photo"},
            {"gallery": GALLERY, "point_id": "00000000-0000-0000-0000-000000000000"},
        ]
    )

    assert isinstance(found, pb.SearchResponse)
    assert [hit.point.landmark for hit in found.fused] == ["Atomium"]
    assert isinstance(broken, InvalidPhotoError)
    assert isinstance(missing, NotFoundError)


async def test_it_counts_values(client: Client) -> None:
    counts = await client.count_values(GALLERY)
    assert {one.value.text: one.points for one in counts} == dict.fromkeys(LANDMARKS, PHOTOS_EACH)
    some = await client.count_values(
        GALLERY, "landmark", where={"number": 1}, filter=NOT_TWO, model="thumbnail", limit=2
    )
    assert [one.points for one in some] == [1, 1]


async def test_it_reads_points_and_models(client: Client) -> None:
    point = await client.point(GALLERY, str(photos()[0].id))
    models = await client.models()

    assert point.point.landmark == photos()[0].landmark
    assert [model.name for model in models] == sorted(MODELS)


async def test_an_error_of_the_service_is_raised_as_its_own_class(client: Client) -> None:
    with pytest.raises(NotFoundError, match="gallery 'nowhere' does not exist"):
        await client.search(photo=QUERY, gallery="nowhere")
    with pytest.raises(InvalidInputError, match="limit") as caught:
        await client.search(photo=QUERY, gallery=GALLERY, limit=0)
    assert caught.value.field == "limit"


@pytest.mark.parametrize(
    "queries", [{}, {"photo": QUERY, "point_id": "7"}, {"photo": QUERY, "positive": [QUERY]}]
)
async def test_exactly_one_query_is_required(client: Client, queries: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="give one of photo, point_id and vector"):
        await client.search(gallery=GALLERY, **queries)


async def test_a_call_to_a_busy_service_is_retried_after_its_delay(stack: Stack) -> None:
    for encoder in stack.encoders.values():
        encoder.full = True
    async with AsyncLandmarks(stack.target) as client:
        search = asyncio.create_task(client.search(photo=QUERY, gallery=GALLERY))
        for encoder in stack.encoders.values():
            await encoder.refused.wait()
            encoder.full = False
        assert not search.done()
        assert (await search).fused[0].point.landmark == "Atomium"


async def test_a_retry_delay_beyond_the_deadline_raises_the_overload(
    client: Client, stack: Stack
) -> None:
    for encoder in stack.encoders.values():
        encoder.full = True
    with pytest.raises(OverloadedError, match="the queue is full") as caught:
        await client.search(photo=QUERY, gallery=GALLERY, timeout=2)
    assert caught.value.retry_after == 3


async def test_a_search_over_its_deadline_reports_the_time(client: Client, stack: Stack) -> None:
    for encoder in stack.encoders.values():
        encoder.go.clear()
    with pytest.raises(DeadlineError, match=r"within 0\.2 s"):
        await client.search(photo=QUERY, gallery=GALLERY, timeout=0.2)


async def test_an_unreachable_service_is_reported_with_what_to_do() -> None:
    port = free_port()

    with (
        Landmarks(f"127.0.0.1:{port}") as client,
        pytest.raises(UnavailableError, match=f"127.0.0.1:{port}.*landmarks up"),
    ):
        client.models()
    async with AsyncLandmarks(f"127.0.0.1:{port}") as client_aio:
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}.*landmarks up"):
            await client_aio.models()
