"""One id can be followed through calls and logs."""

import asyncio

import grpc
import pytest
import structlog
from structlog.testing import capture_logs

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.errors import NotFoundError, UnavailableError
from landmarks.observability import request_id
from landmarks.rpc.channel import open_aio_channel, open_channel
from tests.support.echo import Answer, echoing

ASK = pb.GetModelRequest()


async def current() -> str:
    return request_id.headers().get(request_id.HEADER, "")


async def ask(answer: Answer, *metadata: tuple[str, str]) -> tuple[str, str]:
    """Return what the server answers, and the id that it sends back."""
    async with echoing(answer) as address, open_aio_channel(address) as channel:
        call = EncoderServiceStub(channel).GetModel(ASK, metadata=metadata)
        answered = await call
        trailing = dict(await call.trailing_metadata())
    return answered.model.name, str(trailing[request_id.HEADER])


async def test_a_servers_call_has_its_callers_id_and_sends_it_back():
    assert await ask(current, (request_id.HEADER, "order-66")) == ("order-66", "order-66")


@pytest.mark.parametrize("unusable", ["", "x" * 65, 'a" b', "{}"])
async def test_a_call_without_a_usable_id_gets_a_fresh_one(unusable):
    first, _ = await ask(current, (request_id.HEADER, unusable))
    second, sent_back = await ask(current)
    assert len(first) == len(second) == 32
    assert first != second == sent_back


async def test_a_failed_call_sends_its_id_back_beside_what_went_wrong():
    async def fail() -> str:
        raise NotFoundError("no such model")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(fail, (request_id.HEADER, "order-66"))
    trailing = dict(caught.value.trailing_metadata())
    assert trailing[request_id.HEADER] == "order-66"
    assert "grpc-status-details-bin" in trailing


async def test_a_refusal_that_a_retry_can_help_is_still_retried():
    asked = 0

    async def fail_once() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise UnavailableError("still loading")
        return "done"

    assert (await ask(fail_once))[0] == "done"


async def test_every_line_that_is_logged_during_a_call_has_its_id_and_no_line_after_it():
    log = structlog.get_logger()

    async def report() -> str:
        log.info("during")
        await asyncio.to_thread(log.info, "in a thread")
        return ""

    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        await ask(report, (request_id.HEADER, "order-66"))
        log.info("after")
    assert {line["event"]: line.get("request_id") for line in lines} == {
        "during": "order-66",
        "in a thread": "order-66",
        "after": None,
    }


async def test_a_refusal_is_logged_with_the_id_of_its_call():
    async def fail() -> str:
        raise NotFoundError("no such model")

    with (
        capture_logs([structlog.contextvars.merge_contextvars]) as lines,
        pytest.raises(grpc.aio.AioRpcError),
    ):
        await ask(fail, (request_id.HEADER, "order-66"))
    [line] = [line for line in lines if line["event"] == "request refused"]
    assert line["request_id"] == "order-66"


async def test_channels_pass_the_id_on_from_one_server_to_the_next():
    async with echoing(current) as second:

        async def ask_second() -> str:
            async with open_aio_channel(second) as channel:
                return (await EncoderServiceStub(channel).GetModel(ASK)).model.name

        assert await ask(ask_second, (request_id.HEADER, "order-66")) == ("order-66", "order-66")


async def test_channels_for_threads_pass_the_id_on_and_a_callers_own_comes_first():
    def call(address: str, *metadata: tuple[str, str]) -> str:
        with open_channel(address) as channel, request_id.bound("order-66"):
            return EncoderServiceStub(channel).GetModel(ASK, metadata=metadata).model.name

    async with echoing(current) as address:
        assert await asyncio.to_thread(call, address) == "order-66"
        own = await asyncio.to_thread(call, address, (request_id.HEADER, "own"))
    assert own == "own"


def test_an_id_that_is_bound_for_a_while_gives_way_to_the_one_before():
    with request_id.bound("outer"):
        with request_id.bound("inner"):
            assert request_id.headers() == {request_id.HEADER: "inner"}
        assert request_id.headers() == {request_id.HEADER: "outer"}
    assert request_id.headers() == {}
