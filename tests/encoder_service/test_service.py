"""The service through its socket: answers, health, reflection, several models."""

import asyncio
import threading
import time

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from encoder_service.loader import load_encoder
from encoder_service.models.registry import MODULES
from encoder_service.server import SERVICE_NAME, start
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.errors import ConfigurationError, InvalidInputError, UnavailableError
from landmarks.rpc.channel import open_aio_channel
from landmarks.rpc.status import error_from_rpc
from tests.support.colour_profiles import ADOBE_RGB, in_space, rgb_profile
from tests.support.encoder_server import running_encoder, toy_settings
from tests.support.photos import drawn_photo, saved

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_toy")]
PHOTOS = [saved(drawn_photo(seed=seed), "JPEG") for seed in range(20)]
HEALTH = health_pb2.HealthCheckResponse


async def health_of(server, service):
    async with open_aio_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def serving(server, service):
    """Wait until a service is reported as SERVING."""
    async with open_aio_channel(f"127.0.0.1:{server.port}") as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(request, timeout=30):
            if answer.status == HEALTH.SERVING:
                return


async def test_a_new_encoder_is_served_after_a_file_and_a_registry_line():
    async with running_encoder(toy_settings()) as (_, stub):
        model, _ = (await stub.ListModels(pb.ListModelsRequest())).models
        answer = await stub.Encode(pb.EncodeRequest(model="toy", photo=PHOTOS[0]))
    assert (model.name, model.dimension, model.input_size, model.ready) == ("toy", 48, 32, True)
    assert len(model.digest) == 64
    assert model.description
    assert model.layer == "tiles"
    assert "cpu" in model.runtime
    assert model.limits.max_batch_photos > 0
    assert (answer.model, answer.digest) == ("toy", model.digest)
    assert np.linalg.norm(answer.embedding.values) == pytest.approx(1, abs=1e-5)
    assert (answer.photo.width, answer.photo.height, answer.photo.format) == (320, 240, "JPEG")


async def test_batch_encode_gives_the_vectors_of_encode_in_order():
    async with running_encoder(toy_settings(batch_size=3)) as (_, stub):
        batch = await stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS))
        single = [await stub.Encode(pb.EncodeRequest(photo=photo)) for photo in PHOTOS]
    for one, result in zip(single, batch.results, strict=True):
        assert np.dot(one.embedding.values, result.embedding.values) > 0.9999
        assert result.photo == one.photo


async def test_a_box_is_encoded_as_that_part_of_the_photo_alone():
    image = drawn_photo()
    whole, part = saved(image), saved(image.crop((160, 0, 320, 120)))
    box = pb.Box(left=0.5, right=1, bottom=0.5)
    async with running_encoder(toy_settings()) as (_, stub):
        expected = await stub.Encode(pb.EncodeRequest(photo=part))
        single = await stub.Encode(pb.EncodeRequest(photo=whole, box=box))
        request = pb.BatchEncodeRequest(photos=[whole, whole], boxes=[pb.Box(), box])
        entire, boxed = (await stub.BatchEncode(request)).results
        alone = await stub.Encode(pb.EncodeRequest(photo=whole))
    assert np.dot(single.embedding.values, expected.embedding.values) > 0.9999
    assert np.dot(boxed.embedding.values, expected.embedding.values) > 0.9999
    assert np.dot(entire.embedding.values, alone.embedding.values) > 0.9999
    assert np.dot(single.embedding.values, alone.embedding.values) < 0.99


async def test_boxes_that_cannot_be_used_are_refused_by_field():
    beyond = pb.EncodeRequest(photo=PHOTOS[0], box=pb.Box(right=2, bottom=1))
    too_few = pb.BatchEncodeRequest(photos=PHOTOS[:3], boxes=[pb.Box()])
    async with running_encoder(toy_settings()) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as first:
            await stub.Encode(beyond)
        with pytest.raises(grpc.aio.AioRpcError) as second:
            await stub.BatchEncode(too_few)
    for failed, field in ((first, "box"), (second, "boxes")):
        error = error_from_rpc(failed.value, "the encoder")
        assert isinstance(error, InvalidInputError)
        assert error.field == field


@pytest.mark.parametrize("decode_threads", [0, 2])
async def test_a_damaged_photo_has_its_error_and_the_others_their_vectors_wherever_they_are_decoded(
    decode_threads,
):
    damaged = PHOTOS[1][: len(PHOTOS[1]) // 2]
    # They share a batch, as it waits for more.
    settings = toy_settings(decode_threads=decode_threads, batch_size=8, batch_delay_seconds=0.5)
    async with running_encoder(settings) as (_, stub):
        batch = await stub.BatchEncode(pb.BatchEncodeRequest(photos=[damaged, *PHOTOS[2:5]]))
        alone = await stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS[2:5]))
    failed, *good = batch.results
    assert failed.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert [one.embedding for one in good] == [one.embedding for one in alone.results]


@pytest.mark.parametrize(("decode_threads", "thread"), [(0, "inference-toy"), (2, "decode")])
async def test_workers_decode_their_own_photos_unless_decode_threads_are_set(
    decode_threads, thread
):
    threads = []

    class Noting:
        def __init__(self, encoder):
            self.spec, self.plan, self.embed = encoder.spec, encoder.plan, encoder.embed
            self._preprocess = encoder.preprocess

        def preprocess(self, image):
            threads.append(threading.current_thread().name)
            return self._preprocess(image)

    def noting(*arguments):
        return Noting(load_encoder(*arguments))

    settings = toy_settings(decode_threads=decode_threads, threads=1)
    async with running_encoder(settings, noting) as (_, stub):
        await stub.Encode(pb.EncodeRequest(photo=PHOTOS[0]))
    assert len(threads) == 1
    assert threads[0].startswith(thread)


async def test_inference_time_does_not_include_decoding():
    class Slow:
        def __init__(self, encoder):
            self.spec, self.plan, self.embed = encoder.spec, encoder.plan, encoder.embed
            self._preprocess = encoder.preprocess

        def preprocess(self, image):
            time.sleep(1)
            return self._preprocess(image)

    def slow(*arguments):
        return Slow(load_encoder(*arguments))

    async with running_encoder(toy_settings(threads=1), slow) as (_, stub):
        answer = await stub.Encode(pb.EncodeRequest(photo=PHOTOS[0]))
    decode, inference = (
        one.ToTimedelta().total_seconds()
        for one in (answer.timings.decode, answer.timings.inference)
    )
    assert decode >= 1
    assert 0 < inference < decode


async def test_calls_at_once_share_batches_and_each_has_its_own_answer():
    async with running_encoder(toy_settings()) as (_, stub):
        alone = [await stub.Encode(pb.EncodeRequest(photo=photo)) for photo in PHOTOS]
        calls = [stub.Encode(pb.EncodeRequest(photo=photo)) for photo in PHOTOS]
        together = await asyncio.gather(*calls)
    for one, other in zip(alone, together, strict=True):
        assert np.dot(one.embedding.values, other.embedding.values) > 0.9999


async def test_answers_carry_decode_queue_and_inference_times():
    async with running_encoder(toy_settings()) as (_, stub):
        one = (await stub.Encode(pb.EncodeRequest(photo=PHOTOS[0]))).timings
        many = (await stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS))).timings
    for timings in (one, many):
        for part in ("decode", "queue", "inference"):
            assert timings.HasField(part)
        assert timings.decode.ToNanoseconds() > 0
        assert timings.inference.ToNanoseconds() > 0


async def test_a_photo_without_direction_is_an_error_of_its_own():
    blank = saved(drawn_photo().point(lambda value: 128))  # the toy's mean colour
    async with running_encoder(toy_settings()) as (_, stub):
        answer = await stub.BatchEncode(pb.BatchEncodeRequest(photos=[blank, PHOTOS[0]]))
    assert "no direction" in answer.results[0].error.message
    assert answer.results[1].WhichOneof("outcome") == "embedding"


async def test_health_is_not_serving_until_the_model_is_warm():
    go = threading.Event()

    def slow(name, settings, progress):
        go.wait(30)
        return load_encoder(name, settings, progress)

    async with running_encoder(toy_settings(), slow, wait=False) as (server, stub):
        for service in ("", SERVICE_NAME, "toy"):
            assert await health_of(server, service) == HEALTH.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Encode(pb.EncodeRequest(photo=PHOTOS[0]), timeout=5)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "loading" in refused.value.details()
        assert not (await stub.GetModel(pb.GetModelRequest())).model.ready
        go.set()
        await server.loading
        for service in ("", SERVICE_NAME, "toy"):
            assert await health_of(server, service) == HEALTH.SERVING


async def test_closing_cancels_a_download():
    begun, ended = threading.Event(), threading.Event()

    def endless(_name, _settings, progress):
        try:
            while True:
                progress(1, 100)
                begun.set()
                time.sleep(0.01)
        finally:
            ended.set()

    async with running_encoder(toy_settings(), endless, wait=False):
        assert await asyncio.to_thread(begun.wait, 30)
    assert await asyncio.to_thread(ended.wait, 30)


async def test_a_model_that_cannot_be_loaded_does_not_take_the_others_down(monkeypatch):
    monkeypatch.setitem(MODULES, "broken", "tests.support.no_such_module")
    settings = toy_settings(models="broken,toy")
    async with running_encoder(settings) as (server, stub):
        assert await health_of(server, "broken") == HEALTH.NOT_SERVING
        for service in ("", SERVICE_NAME, "toy"):
            assert await health_of(server, service) == HEALTH.SERVING
        broken, toy, _ = (await stub.ListModels(pb.ListModelsRequest())).models
        assert "no_such_module" in broken.failure
        assert not broken.ready
        assert toy.ready
        await stub.Encode(pb.EncodeRequest(model="toy", photo=PHOTOS[0]))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Encode(pb.EncodeRequest(model="broken", photo=PHOTOS[0]))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError) as unnamed:
            await stub.Encode(pb.EncodeRequest(photo=PHOTOS[0]))
        error = error_from_rpc(unnamed.value)
        assert isinstance(error, InvalidInputError)
        assert error.field == "model"


async def test_a_model_whose_weights_are_unavailable_does_not_delay_the_others(monkeypatch):
    monkeypatch.setitem(MODULES, "absent", "tests.support.toy_encoder")
    tried = threading.Event()

    def load(name, settings, progress):
        if name == "absent":
            tried.set()
            raise UnavailableError("no connection")
        tried.wait(30)
        return load_encoder(name, settings, progress)

    settings = toy_settings(models="absent,toy")
    async with running_encoder(settings, load, wait=False) as (server, stub):
        await serving(server, "")
        assert await health_of(server, "absent") == HEALTH.NOT_SERVING
        answer = await stub.GetModel(pb.GetModelRequest(model="absent"))
        assert answer.model.failure == "no connection"
        await stub.Encode(pb.EncodeRequest(model="toy", photo=PHOTOS[0]))


async def test_an_encoder_that_breaks_is_an_error_without_internal_details():
    class Breaking:
        def __init__(self, encoder):
            self.spec, self.plan, self.preprocess = encoder.spec, encoder.plan, encoder.preprocess

        def embed(self, batch):
            if batch.any():  # not the warm-up
                raise RuntimeError("secret path")
            return np.ones((len(batch), 48), np.float32)

    def breaking(*arguments):
        return Breaking(load_encoder(*arguments))

    async with running_encoder(toy_settings(), breaking) as (_, stub):
        answer = await stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS[:2]))
        for result in answer.results:
            assert result.error.code == grpc.StatusCode.INTERNAL.value[0]
            assert "secret" not in result.error.message
            assert "RuntimeError" in result.error.message


async def test_an_encoder_that_fails_at_every_photo_blames_no_photo():
    class Broken:
        def __init__(self, encoder):
            self.spec, self.plan, self.preprocess = encoder.spec, encoder.plan, encoder.preprocess
            self.working = encoder.embed

        def embed(self, batch):
            if batch.any():  # not the warm-up
                self.working = None
            if self.working is None:
                raise RuntimeError("out of memory")
            return self.working(batch)

    async with running_encoder(toy_settings(), lambda *them: Broken(load_encoder(*them))) as (
        _,
        stub,
    ):
        answer = await stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS[:2]))
        for result in answer.results:
            assert result.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
            assert "fails at every photo" in result.error.message


async def test_a_photo_that_breaks_the_encoder_is_the_only_one_of_its_batch_that_fails():
    class BreaksOnWhite:
        def __init__(self, encoder):
            self.spec, self.plan, self.preprocess = encoder.spec, encoder.plan, encoder.preprocess
            self.embed_all = encoder.embed

        def embed(self, batch):
            if (batch.min(axis=(1, 2, 3)) > 1.9).any():
                raise RuntimeError("white")
            return self.embed_all(batch)

    def breaking(*arguments):
        return BreaksOnWhite(load_encoder(*arguments))

    white = saved(drawn_photo().point(lambda value: 255))
    # One batch for sure: it is full with these photos, and waits for them.
    settings = toy_settings(batch_size=4, batch_delay_seconds=60)
    async with running_encoder(settings, breaking) as (_, stub):
        photos = [PHOTOS[0], white, PHOTOS[1]]
        other, answer = await asyncio.gather(
            stub.Encode(pb.EncodeRequest(photo=PHOTOS[2])),
            stub.BatchEncode(pb.BatchEncodeRequest(photos=photos)),
        )
    assert len(other.embedding.values) == 48
    kinds = [result.WhichOneof("outcome") for result in answer.results]
    assert kinds == ["embedding", "error", "embedding"]
    assert answer.results[1].error.code == grpc.StatusCode.INTERNAL.value[0]


async def test_reflection_lists_the_service():
    async with (
        running_encoder(toy_settings()) as (server, _),
        open_aio_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([ask])):
            names = {service.name for service in answer.list_services_response.service}
            break
    assert {SERVICE_NAME, "grpc.health.v1.Health"} <= names


async def test_a_caller_that_leaves_frees_its_place_in_the_queue():
    go, entered = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, encoder):
            self.spec, self.plan, self.preprocess = encoder.spec, encoder.plan, encoder.preprocess

        def embed(self, batch):
            if batch.any():
                entered.set()
                go.wait(30)
            return np.ones((len(batch), 48), np.float32)

    async with running_encoder(toy_settings(), lambda *a: Slow(load_encoder(*a))) as (server, stub):
        call = stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS))
        await asyncio.to_thread(entered.wait, 30)
        assert server.hosts[0].pipeline().batcher.queued_photos == len(PHOTOS)
        call.cancel()
        async with asyncio.timeout(30):
            while server.hosts[0].pipeline().batcher.queued_photos:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)
        go.set()


async def test_a_port_in_use_is_a_configuration_error():
    async with running_encoder(toy_settings()) as (server, _):
        with pytest.raises(ConfigurationError, match="port is in use"):
            await start(toy_settings(encoder_port=server.port))


async def test_an_unknown_model_in_the_settings_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="vgg99"):
        await start(toy_settings(models="vgg99"))


async def test_the_revision_before_is_served_by_its_digest_from_the_same_network():
    wide = in_space(drawn_photo(), profile := rgb_profile(ADOBE_RGB, 2.2))
    photo, plain = saved(wide, icc_profile=profile), saved(wide)
    async with running_encoder(toy_settings()) as (_, stub):
        answer = await stub.GetModel(pb.GetModelRequest())
        listed = (await stub.ListModels(pb.ListModelsRequest())).models
        digests = [answer.model.digest, answer.earlier[0].digest]
        newest, earlier = [
            await stub.Encode(pb.EncodeRequest(photo=photo, expected_digest=digest))
            for digest in digests
        ]
        batch = await stub.BatchEncode(
            pb.BatchEncodeRequest(photos=[photo, plain], expected_digest=digests[1])
        )
        silent = await stub.Encode(pb.EncodeRequest(photo=photo))
    assert [one.digest for one in listed] == digests
    assert [one.superseded_by for one in listed] == ["", digests[0]]
    assert [newest.digest, earlier.digest] == digests
    assert batch.digest == digests[1]
    assert silent.digest == digests[0]
    assert silent.embedding == newest.embedding
    assert newest.embedding != earlier.embedding
    # As it was: the profile is not looked at.
    assert [one.embedding for one in batch.results] == [earlier.embedding] * 2
