"""Photos → vectors by a real encoder service, also where it fails."""

import asyncio
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from encoder_service.loading import load_encoder
from encoder_service.models.contract import Encoder
from encoder_service.models.registry import MODULES
from encoder_service.settings import EncoderSettings
from encoder_service.weights import Progress
from indexer_worker.encoding import Encoded, ModelEncoder
from indexer_worker.patience import Patience
from landmarks.encoders import EncoderDirectory
from landmarks.errors import LandmarksError
from tests.support.encoder_server import running_encoder, toy_settings
from tests.support.photos import drawn_photo, saved

pytestmark = pytest.mark.integration

WHITE = saved(Image.new("RGB", (40, 30), "white"))


class Fragile:
    """An encoder that cannot embed a batch with a white photo in it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.spec = encoder.spec
        self.runtime = encoder.runtime
        self.preprocess = encoder.preprocess

    def embed(self, batch: torch.Tensor) -> np.ndarray:
        if any(bool((photo > 1.9).all()) for photo in batch):
            raise RuntimeError("the kernel failed")
        return self._encoder.embed(batch)


async def test_a_photo_that_breaks_its_batch_does_not_take_the_others_along(monkeypatch):
    monkeypatch.setitem(MODULES, "toy", "tests.support.toy_encoder")
    loaded: list[Fragile] = []

    def load(name: str, settings: EncoderSettings, progress: Progress) -> Encoder:
        loaded.append(Fragile(load_encoder(name, settings, progress)))
        return loaded[0]

    photos = [saved(drawn_photo(seed=seed)) for seed in range(5)]
    photos[2] = WHITE
    photos[4] = b"not a photo"

    def encode(port: int) -> list[Encoded | LandmarksError]:
        directory = EncoderDirectory({"toy": [f"127.0.0.1:{port}"]})
        patience = Patience(10, threading.Event())
        try:
            encoder = ModelEncoder(directory, patience, "toy", loaded[0].spec.digest, 10)
            return encoder.encode(photos)
        finally:
            directory.close()

    settings = toy_settings(batch_size=4, batch_delay_seconds=0.2)
    async with running_encoder(settings, load) as (server, _):
        outcomes = await asyncio.to_thread(encode, server.port)

    assert [isinstance(one, Encoded) for one in outcomes] == [True, True, False, True, False]
    assert "the encoder failed at it, also alone" in str(outcomes[2])
    assert "not a photo" in str(outcomes[4])
