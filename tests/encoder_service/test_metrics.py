"""The metrics of a model, as Prometheus and autoscalers read them."""

import asyncio
import threading
from contextlib import asynccontextmanager

import grpc
import pytest

from encoder_service.loader import load_encoder
from encoder_service.metrics import RecentMean
from encoder_service.settings import EncoderSettings
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from tests.support.encoder_server import running_encoder, toy_settings
from tests.support.photos import drawn_photo, saved
from tests.support.scrape import scraped
from tests.support.search_stack import eventually

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_toy")]
PHOTOS = [saved(drawn_photo(seed=seed), "JPEG") for seed in range(6)]
TOY = {"model": "toy"}
QUEUED = "landmarks_encoder_queued_photos"
WAITS = "landmarks_encoder_queue_wait_seconds_count"
OUTCOMES = "landmarks_encoder_photos_total"


class Held:
    """The toy encoder, whose batches after the warm-up wait until `go` is set."""

    def __init__(self, encoder, go, entered):
        self.spec, self.plan, self.preprocess = encoder.spec, encoder.plan, encoder.preprocess
        self._embed, self._go, self._entered = encoder.embed, go, entered

    def embed(self, batch):
        if batch.any():
            self._entered.set()
            self._go.wait(30)
        return self._embed(batch)


@asynccontextmanager
async def held_up(settings: EncoderSettings):
    """Run a server that is busy with one photo until `go` is set."""
    go, entered = threading.Event(), threading.Event()

    def load(*arguments):
        return Held(load_encoder(*arguments), go, entered)

    async with running_encoder(settings, load) as (_, stub):
        first = asyncio.ensure_future(stub.Encode(pb.EncodeRequest(photo=PHOTOS[0])))
        try:
            assert await asyncio.to_thread(entered.wait, 30)
            yield stub, go
        finally:
            go.set()
            await first


async def test_a_batch_is_counted_with_its_size_and_its_photos_by_code():
    with scraped() as metrics:
        # One batch for sure: it is full with these photos, and waits for them.
        settings = toy_settings(batch_size=4, batch_delay_seconds=60)
        async with running_encoder(settings) as (_, stub):
            photos = [*PHOTOS[:4], b"no photo", b""]
            await stub.BatchEncode(pb.BatchEncodeRequest(photos=photos))
        assert metrics.since("landmarks_encoder_batch_size_count", **TOY) == 1
        assert metrics.since("landmarks_encoder_batch_size_sum", **TOY) == 4
        assert metrics.since("landmarks_encoder_inference_seconds_count", **TOY) == 1
        assert metrics.since("landmarks_encoder_decode_seconds_count", **TOY) == 4
        assert metrics.since(WAITS, **TOY) == 4
        assert metrics.since(OUTCOMES, **TOY, code="OK") == 4
        assert metrics.since(OUTCOMES, **TOY, code="INVALID_ARGUMENT") == 2
        assert metrics.since("landmarks_failures_total", kind="InvalidPhotoError") == 2


async def test_queued_photos_are_shown_while_they_wait_and_not_after():
    with scraped() as metrics:
        async with held_up(toy_settings(batch_size=1)) as (stub, go):
            second = asyncio.ensure_future(stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS)))

            async def all_wait() -> bool:
                return metrics.now(QUEUED, **TOY) == 1 + len(PHOTOS)

            await eventually(all_wait, "seven photos are queued")
            go.set()
            await second
        assert metrics.now(QUEUED, **TOY) == 0
        assert metrics.now("landmarks_encoder_queue_wait_recent_seconds", **TOY) == 0  # closed


async def test_a_photo_that_expires_in_the_queue_counts_as_a_wait():
    with scraped() as metrics:
        async with held_up(toy_settings(batch_size=1)) as (stub, _):
            before = metrics.since(WAITS, **TOY)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Encode(pb.EncodeRequest(photo=PHOTOS[1]), timeout=0.3)

            async def counted() -> bool:
                return metrics.since(WAITS, **TOY) > before

            await eventually(counted, "the wait is counted")
            assert metrics.now("landmarks_encoder_queue_wait_recent_seconds", **TOY) > 0
        given_up = [
            metrics.since(OUTCOMES, **TOY, code=code) for code in ("CANCELLED", "DEADLINE_EXCEEDED")
        ]
        assert sum(given_up) == 1


async def test_photos_refused_by_a_full_queue_are_counted_by_code():
    with scraped() as metrics:
        async with held_up(toy_settings(max_queued_photos=1)) as (stub, _):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.BatchEncode(pb.BatchEncodeRequest(photos=PHOTOS))
        assert metrics.since(OUTCOMES, **TOY, code="RESOURCE_EXHAUSTED") == len(PHOTOS)


async def test_a_model_is_shown_as_ready_once_it_is_warm():
    go = threading.Event()

    def load(*arguments):
        go.wait(30)
        return load_encoder(*arguments)

    name = "landmarks_encoder_model_ready"
    with scraped() as metrics:
        async with running_encoder(toy_settings(), load, wait=False) as (server, _):
            assert metrics.now(name, **TOY) == 0
            go.set()
            await server.loading
            assert metrics.now(name, **TOY) == 1
        assert metrics.now(name, **TOY) == 0


def test_the_recent_mean_forgets_old_values():
    now = 0.0
    recent = RecentMean(30, lambda: now)
    assert recent.mean() == 0
    recent.observe(1)
    now = 20.0
    recent.observe(3)
    assert recent.mean() == 2
    now = 31.0
    assert recent.mean() == 3
    now = 51.0
    assert recent.mean() == 0
