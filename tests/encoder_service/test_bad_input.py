"""Photos that cannot be encoded, or that need care: each through the real server."""

import grpc
import numpy as np
import pytest
from google.rpc.code_pb2 import Code

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.errors import (
    InvalidInputError,
    InvalidPhotoError,
    LineageError,
    NotFoundError,
    OverloadedError,
)
from landmarks.rpc.status import error_from_rpc, error_from_status
from tests.support.bad_input import JPEG, ODD, bad_photos
from tests.support.encoder_server import running_encoder, toy_settings

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_toy")]

BYTE_CAP = 400_000
LIMITS = {"max_photo_bytes": BYTE_CAP}
BAD = bad_photos(BYTE_CAP)


def cosine(one, other):
    return float(np.dot(one.embedding.values, other.embedding.values))


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_photo_is_an_invalid_argument_that_says_why_and_the_server_goes_on(name):
    photo, reason = BAD[name]
    async with running_encoder(toy_settings(**LIMITS)) as (_, stub):
        refused = await refusal(stub.Encode(pb.EncodeRequest(model="toy", photo=photo)))
        assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT
        error = error_from_rpc(refused)
        assert isinstance(error, InvalidPhotoError)
        assert reason in str(error)
        assert error.field == "photo"
        assert len((await stub.Encode(pb.EncodeRequest(photo=JPEG))).embedding.values) == 48


async def test_in_a_batch_only_the_bad_photos_fail():
    photos = [JPEG, *(photo for photo, _ in BAD.values()), JPEG]
    async with running_encoder(toy_settings(**LIMITS)) as (_, stub):
        answer = await stub.BatchEncode(pb.BatchEncodeRequest(model="toy", photos=photos))
    kinds = [result.WhichOneof("outcome") for result in answer.results]
    assert kinds == ["embedding", *["error"] * len(BAD), "embedding"]
    for result, (_, reason) in zip(answer.results[1:-1], BAD.values(), strict=True):
        assert result.error.code == Code.INVALID_ARGUMENT
        assert reason in result.error.message
        assert isinstance(error_from_status(result.error), InvalidPhotoError)


async def test_a_batch_of_bad_photos_only_is_an_answer_too():
    photos = [photo for photo, _ in BAD.values()]
    async with running_encoder(toy_settings(**LIMITS)) as (_, stub):
        answer = await stub.BatchEncode(pb.BatchEncodeRequest(photos=photos))
        assert all(result.WhichOneof("outcome") == "error" for result in answer.results)
        assert len(answer.results) == len(photos)
        assert not (await stub.BatchEncode(pb.BatchEncodeRequest(model="toy"))).results


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_photo_has_the_vector_of_its_plain_copy(name):
    odd, plain = ODD[name]
    async with running_encoder(toy_settings()) as (_, stub):
        one = await stub.Encode(pb.EncodeRequest(photo=odd))
        other = await stub.Encode(pb.EncodeRequest(photo=plain))
    assert cosine(one, other) > 0.999
    assert (one.photo.width, one.photo.height) == (320, 240)


async def test_an_unknown_model_is_not_found_and_those_served_are_named():
    async with running_encoder(toy_settings()) as (_, stub):
        for call in (
            stub.Encode(pb.EncodeRequest(model="vgg99", photo=JPEG)),
            stub.BatchEncode(pb.BatchEncodeRequest(model="vgg99", photos=[JPEG])),
            stub.GetModel(pb.GetModelRequest(model="vgg99")),
        ):
            refused = await refusal(call)
            assert refused.code() == grpc.StatusCode.NOT_FOUND
            assert isinstance(error_from_rpc(refused), NotFoundError)
            assert "'vgg99'" in refused.details()
            assert "toy" in refused.details()


async def test_another_digest_than_expected_is_a_failed_precondition():
    async with running_encoder(toy_settings()) as (server, stub):
        digest = server.hosts[0].pipeline().spec.digest
        fine = await stub.Encode(pb.EncodeRequest(photo=JPEG, expected_digest=digest))
        assert fine.digest == digest
        for call in (
            stub.Encode(pb.EncodeRequest(photo=JPEG, expected_digest="0" * 64)),
            stub.BatchEncode(pb.BatchEncodeRequest(photos=[JPEG], expected_digest="0" * 64)),
        ):
            refused = await refusal(call)
            assert refused.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert isinstance(error_from_rpc(refused), LineageError)
            assert digest in refused.details()
            assert "0" * 64 in refused.details()


async def test_too_many_photos_are_refused_with_the_limit():
    async with running_encoder(toy_settings(max_batch_photos=2)) as (_, stub):
        refused = await refusal(stub.BatchEncode(pb.BatchEncodeRequest(photos=[JPEG] * 3)))
    error = error_from_rpc(refused)
    assert isinstance(error, InvalidInputError)
    assert error.field == "photos"
    assert "at most 2" in str(error)


async def test_a_full_queue_is_resource_exhausted_with_a_time_to_try_again():
    settings = toy_settings(max_queued_photos=1)
    async with running_encoder(settings) as (server, stub):
        with server.hosts[0].pipeline().batcher.admit(1, 0):
            refused = await refusal(stub.Encode(pb.EncodeRequest(photo=JPEG)))
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        error = error_from_rpc(refused)
        assert isinstance(error, OverloadedError)
        assert error.retry_after > 0
        await stub.Encode(pb.EncodeRequest(photo=JPEG))
        assert server.hosts[0].pipeline().batcher.queued_photos == 0


async def test_a_message_over_the_published_limit_is_refused():
    settings = toy_settings(max_request_bytes=500_000, max_photo_bytes=BYTE_CAP)
    async with running_encoder(settings) as (_, stub):
        limits = (await stub.GetModel(pb.GetModelRequest())).model.limits
        assert limits.max_request_bytes == 500_000
        photos = [bytes(limits.max_request_bytes // 2), bytes(limits.max_request_bytes // 2)]
        refused = await refusal(stub.BatchEncode(pb.BatchEncodeRequest(photos=photos)))
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
