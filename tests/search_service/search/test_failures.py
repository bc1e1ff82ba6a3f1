"""Answers of a search while parts of the system are down, late or being replaced."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from google.rpc.code_pb2 import Code
from grpc_health.v1 import health_pb2, health_pb2_grpc

from landmarkapi.indexing.v1.indexing_pb2 import ListCollectionsRequest
from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import (
    DeadlineError,
    InvalidPhotoError,
    LineageError,
    OverloadedError,
    UnavailableError,
)
from search_service.server import SEARCH_SERVICE
from tests.support.search_encoder import MODELS, ColourEncoder, digest_of
from tests.support.search_stack import (
    GALLERY,
    Qdrant,
    Stack,
    draw,
    error_of,
    eventually,
    fill,
    stack_running,
)

pytestmark = pytest.mark.integration

REQUEST = pb.SearchRequest(gallery=GALLERY, photo=draw("Atomium", 99))


async def answered(stack: Stack, seconds: float = 20) -> pb.SearchResponse:
    return await stack.search.Search(REQUEST, timeout=seconds)


async def is_whole(stack: Stack) -> bool:
    try:
        return not (await answered(stack)).partial
    except grpc.aio.AioRpcError:
        return False


async def test_without_one_encoder_the_answer_is_partial_until_it_is_back(stack: Stack) -> None:
    await stack.encoders["thumbnail"].stop()

    answer = await answered(stack)

    assert answer.partial
    assert [ranking.model for ranking in answer.rankings] == ["histogram"]
    assert answer.verdict.landmark == "Atomium"
    [failure] = answer.failures
    assert (failure.model, failure.status.code) == ("thumbnail", Code.UNAVAILABLE)
    assert stack.encoders["thumbnail"].target in failure.status.message

    await stack.encoders["thumbnail"].start()
    await eventually(lambda: is_whole(stack), "whole again")


async def test_a_late_encoder_leaves_the_others_answers_within_the_deadline(
    stack: Stack,
) -> None:
    stack.encoders["thumbnail"].go.clear()

    answer = await answered(stack, seconds=2)

    assert answer.partial
    assert [ranking.model for ranking in answer.rankings] == ["histogram"]
    assert answer.failures[0].status.code == Code.DEADLINE_EXCEEDED


async def test_if_all_encoders_are_late_the_caller_gets_a_deadline_error_in_time(
    qdrant: Qdrant,
) -> None:
    async with stack_running(qdrant.settings, max_seconds=0.5) as stack:
        for encoder in stack.encoders.values():
            encoder.go.clear()

        error = await error_of(answered(stack))

    assert isinstance(error, DeadlineError)
    assert "did not answer in time" in str(error)


async def test_without_any_encoder_the_error_is_retryable(stack: Stack) -> None:
    for encoder in stack.encoders.values():
        await encoder.stop()

    error = await error_of(answered(stack))

    assert isinstance(error, UnavailableError)
    for model in MODELS:
        assert model in str(error)


async def test_full_encoders_return_a_retry_delay(stack: Stack) -> None:
    for encoder in stack.encoders.values():
        encoder.full = True

    error = await error_of(answered(stack))

    assert isinstance(error, OverloadedError)
    assert error.retry_after == 3


async def test_a_bad_photo_is_reported_even_if_an_encoder_is_down(stack: Stack) -> None:
    await stack.encoders["thumbnail"].stop()

    request = pb.SearchRequest(gallery=GALLERY, photo=b"not a photo")
    error = await error_of(stack.search.Search(request, timeout=20))

    assert isinstance(error, InvalidPhotoError)


async def test_an_encoder_of_another_digest_is_never_used(stack: Stack) -> None:
    for encoder in stack.encoders.values():
        encoder.revision = 2

    error = await error_of(answered(stack))

    assert isinstance(error, LineageError)
    assert digest_of("histogram")[:8] in str(error)
    assert digest_of("histogram", 2)[:8] in str(error)
    assert all(encoder.encoded == 0 for encoder in stack.encoders.values())


async def test_an_encoder_that_is_replaced_while_searching_is_noticed_at_once(
    stack: Stack,
) -> None:
    assert not (await answered(stack)).partial
    stack.encoders["thumbnail"].revision = 2

    answer = await answered(stack)

    assert [failure.model for failure in answer.failures] == ["thumbnail"]
    assert answer.failures[0].status.code == Code.FAILED_PRECONDITION


async def test_the_encoder_of_the_collections_digest_is_found_among_several(
    qdrant: Qdrant,
) -> None:
    fill(qdrant.settings, "rolling", ["thumbnail"], each=1)
    async with stack_running(qdrant.settings) as stack, ColourEncoder("thumbnail") as old:
        stack.encoders["thumbnail"].revision = 2
        targets = [stack.encoders["thumbnail"].target, old.target]
        async with stack_running(qdrant.settings, targets={"thumbnail": targets}) as rolling:
            request = pb.SearchRequest(gallery="rolling", photo=draw("Atomium", 99))
            answer = await rolling.search.Search(request, timeout=20)

    assert not answer.partial
    assert old.encoded == 1


async def test_a_collection_that_became_live_meanwhile_is_searched(
    stack: Stack, qdrant: Qdrant
) -> None:
    fill(qdrant.settings, "moving", ["thumbnail"], each=1)
    request = pb.SearchRequest(gallery="moving", photo=draw("Atomium", 99))
    assert not (await stack.search.Search(request, timeout=20)).partial

    fill(qdrant.settings, "moving", ["thumbnail"], each=1, revision=2)
    stack.encoders["thumbnail"].revision = 2
    answer = await stack.search.Search(request, timeout=20)

    assert answer.rankings[0].digest == digest_of("thumbnail", 2)


async def test_a_moved_alias_is_noticed_by_itself(stack: Stack, qdrant: Qdrant) -> None:
    fill(qdrant.settings, "promoted", ["thumbnail"], each=1)
    request = pb.SearchRequest(
        gallery="promoted",
        vector=pb.ModelVector(model="thumbnail", values=[1.0] * MODELS["thumbnail"][0]),
    )

    async def digest() -> str:
        return (await stack.search.Search(request, timeout=20)).rankings[0].digest

    assert await digest() == digest_of("thumbnail")
    fill(qdrant.settings, "promoted", ["thumbnail"], each=1, revision=2)

    async def moved() -> bool:
        return await digest() == digest_of("thumbnail", 2)

    await eventually(moved, "the new collection is searched")


async def test_without_qdrant_the_error_is_retryable_and_a_later_retry_succeeds(
    own_qdrant: Qdrant,
) -> None:
    async with stack_running(own_qdrant.settings) as stack:
        assert await is_whole(stack)

        own_qdrant.stop()
        error = await error_of(answered(stack))

        assert isinstance(error, UnavailableError)
        assert f"Qdrant at 127.0.0.1:{own_qdrant.settings.qdrant_port}" in str(error)

        await asyncio.to_thread(own_qdrant.start)
        await eventually(lambda: is_whole(stack), "whole again")


async def test_health_follows_qdrant_and_the_encoders(own_qdrant: Qdrant) -> None:
    async with stack_running(own_qdrant.settings) as stack:
        health = health_pb2_grpc.HealthStub(stack.channel)

        async def serving(expected: bool) -> bool:
            answers = [
                await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
                for name in ("", SEARCH_SERVICE)
            ]
            wanted = (
                health_pb2.HealthCheckResponse.SERVING
                if expected
                else health_pb2.HealthCheckResponse.NOT_SERVING
            )
            return all(answer.status == wanted for answer in answers)

        assert await serving(True)

        await stack.encoders["thumbnail"].stop()
        await stack.encoders["histogram"].stop()
        await eventually(lambda: serving(False), "no encoder, not serving")
        await stack.encoders["histogram"].start()
        await eventually(lambda: serving(True), "one encoder is enough")

        await asyncio.to_thread(own_qdrant.stop)
        await eventually(lambda: serving(False), "no Qdrant, not serving")
        await asyncio.to_thread(own_qdrant.start)
        await eventually(lambda: serving(True), "Qdrant is back")


@pytest.mark.needs(engine="embedded")
async def test_a_damaged_collection_fails_alone_and_says_what_to_do(own_qdrant: Qdrant) -> None:
    own_qdrant.stop()
    shards = own_qdrant.folder / "shards"
    [damaged] = [
        path.parent
        for path in shards.glob("*/collection.json")
        if json.loads(path.read_text())["aliases"] == [f"{GALLERY}__thumbnail"]
    ]
    aside = damaged.rename(own_qdrant.folder / "aside")
    own_qdrant.start()
    try:
        async with stack_running(own_qdrant.settings) as stack:
            answer = await answered(stack)
            assert [ranking.model for ranking in answer.rankings] == ["histogram"]
            [failure] = answer.failures
            assert (failure.model, failure.status.code) == ("thumbnail", Code.DATA_LOSS)

            listed = (await stack.indexing.ListCollections(ListCollectionsRequest())).collections
            found = {one.model: one for one in listed if one.gallery == GALLERY}
            assert found.keys() == set(MODELS)
            assert (found["histogram"].status, found["histogram"].problem) == ("green", "")
            assert (found["thumbnail"].status, found["thumbnail"].live) == ("red", True)
            assert "Restore a backup" in found["thumbnail"].problem

            health = health_pb2_grpc.HealthStub(stack.channel)

            async def is_reported(model: str, status: int) -> bool:
                request = health_pb2.HealthCheckRequest(service=found[model].name)
                return bool((await health.Check(request)).status == status)

            assert await is_reported("histogram", health_pb2.HealthCheckResponse.SERVING)
            assert await is_reported("thumbnail", health_pb2.HealthCheckResponse.NOT_SERVING)
            # Anyone may list, with no key: names of galleries are not for strangers.
            statuses = await health.List(health_pb2.HealthListRequest(), timeout=5)
            assert not {one.name for one in found.values()} & set(statuses.statuses)
    finally:
        own_qdrant.stop()
        aside.rename(damaged)
        own_qdrant.start()
