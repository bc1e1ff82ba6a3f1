"""The pipeline by itself, with plain values and no server."""

from contextlib import asynccontextmanager

import numpy as np
import pytest

from encoder_service.decoding import DecodeThreads, UndecodedPhoto
from encoder_service.loader import load_encoder
from encoder_service.metrics import ModelMetrics
from encoder_service.pipeline import Pipeline
from landmarks.errors import InvalidPhotoError, OverloadedError, UnavailableError
from landmarks.photos.box import Box
from tests.support.encoder_server import toy_settings
from tests.support.photos import drawn_photo, saved

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_toy")]
PHOTOS = [UndecodedPhoto(saved(drawn_photo(seed=seed), "JPEG")) for seed in range(4)]


@asynccontextmanager
async def running_pipeline(**fields):
    settings = toy_settings(**fields)
    threads = DecodeThreads(settings.decoders)
    metrics = ModelMetrics("toy", lambda: 0, lambda: True)
    pipeline = Pipeline(load_encoder("toy", settings), settings, threads, metrics)
    try:
        pipeline.warm_up()
        yield pipeline
    finally:
        await pipeline.close()
        threads.close()
        metrics.close()


@pytest.mark.parametrize("decode_threads", [0, 2])
async def test_each_photo_has_its_result_in_order_and_a_bad_one_its_error(decode_threads):
    bad = UndecodedPhoto(b"no photo")
    async with running_pipeline(decode_threads=decode_threads) as pipeline:
        alone = [(await pipeline.encode([photo], None))[0] for photo in PHOTOS]
        first, refused, *rest = await pipeline.encode([PHOTOS[0], bad, *PHOTOS[1:]], None)
    assert isinstance(refused.outcome, InvalidPhotoError)
    assert refused.decoded is None
    for one, other in zip(alone, [first, *rest], strict=True):
        assert np.allclose(one.outcome.result.vector, other.outcome.result.vector, atol=1e-5)
        assert (one.decoded.width, one.decoded.height, one.decoded.format) == (320, 240, "JPEG")


async def test_decoding_threads_and_workers_make_the_same_vectors():
    part = UndecodedPhoto(PHOTOS[0].data, Box(0.5, 0.0, 1.0, 0.5))
    vectors = []
    for decode_threads in (0, 2):
        async with running_pipeline(decode_threads=decode_threads) as pipeline:
            results = await pipeline.encode([PHOTOS[0], part], None)
            vectors.append([one.outcome.result.vector for one in results])
    assert np.allclose(*vectors, atol=1e-6)


async def test_a_full_queue_refuses_the_whole_request_and_a_closed_pipeline_every_request():
    async with running_pipeline(max_queued_photos=1) as pipeline:
        with pipeline.batcher.admit(1, 0), pytest.raises(OverloadedError):
            await pipeline.encode(PHOTOS, None)
        assert pipeline.batcher.queued_photos == 0
    with pytest.raises(UnavailableError):
        await pipeline.encode(PHOTOS, None)
