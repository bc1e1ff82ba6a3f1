"""A gallery in a real Qdrant, and a search service over it, for the tests of searching."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import grpc
import numpy as np
from PIL import Image

from landmarkapi.indexing.v1.indexing_pb2_grpc import IndexingServiceStub
from landmarkapi.search.v1.search_pb2_grpc import SearchServiceStub
from landmarks.errors import LandmarksError
from landmarks.rpc.channel import open_aio_channel
from landmarks.rpc.status import error_from_rpc
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import Payload, PhotoPayload, Point, point_id
from landmarks.vector_store.settings import VectorStoreSettings
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.engine import engine_process
from tests.support.ports import free_port
from tests.support.search_encoder import MODELS, ColourEncoder, digest_of, encode

GALLERY = "colours"
LANDMARKS = ("Atomium", "Soreq cave", "Tower Bridge", "Ayers Rock", "Taj Mahal")
PHOTOS_EACH = 12
BOUND_SECONDS = 60.0  # only keeps a broken test from hanging


@dataclass(frozen=True)
class Photo:
    """A photo of the gallery."""

    landmark: str
    number: int
    data: bytes

    @property
    def path(self) -> str:
        return f"{self.landmark}/{self.number}.png"

    @property
    def id(self) -> UUID:
        return point_id(GALLERY, "test", self.path)


def draw(landmark: str, number: int) -> bytes:
    """A photo: each landmark has colours of its own, each photo noise of its own."""
    place = LANDMARKS.index(landmark)
    base = np.random.default_rng(place).integers(30, 225, (4, 4, 3))
    noise = np.random.default_rng((place, number)).normal(0, 18, (32, 32, 3))
    pixels = np.clip(np.kron(base, np.ones((8, 8, 1))) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def photos(each: int = PHOTOS_EACH) -> list[Photo]:
    """The photos of a gallery."""
    return [Photo(name, n, draw(name, n)) for name in LANDMARKS for n in range(each)]


class Qdrant:
    """A Qdrant as a process that can be ended and started again over its data."""

    def __init__(self, folder: Path) -> None:
        self.settings = VectorStoreSettings(qdrant_port=free_port(), qdrant_timeout_seconds=10)
        self.folder = folder
        self._process = ExitStack()

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process.enter_context(engine_process(self.folder, self.settings.qdrant_port))

    def stop(self) -> None:
        """End it, if it runs."""
        self._process.close()


@contextmanager
def qdrant_running(folder: Path) -> Iterator[Qdrant]:
    """Run a Qdrant with its data in `folder`."""
    qdrant = Qdrant(folder)
    try:
        qdrant.start()
        yield qdrant
    finally:
        qdrant.stop()


def fill(
    settings: VectorStoreSettings,
    gallery: str = GALLERY,
    models: Sequence[str] = tuple(MODELS),
    each: int = PHOTOS_EACH,
    revision: int = 1,
) -> None:
    """Index the photos of `gallery` with `models`, and make the collections live."""
    client = connect(settings)
    collections, store = Collections(client, settings), PointStore(client, settings)
    for model in models:
        collection = collections.create_beside(
            gallery, model, digest_of(model, revision), MODELS[model][0]
        )
        store.upsert(
            collection.name,
            [
                Point(
                    point_id(gallery, "test", photo.path),
                    encode(model, photo.data),
                    _payload(photo),
                )
                for photo in photos(each)
            ],
        )
        collections.ensure_indexes(collection.name, {"taken": "datetime"})
        collections.promote(collection.name)
    client.close()


def _payload(photo: Photo) -> Payload:
    return PhotoPayload(
        uri=f"file:///test/{photo.path}",
        source="test",
        path=photo.path,
        sha256=sha256(photo.data).hexdigest(),
        width=32,
        height=32,
        indexed_at=datetime(2026, 1, 1, tzinfo=UTC),
        job_id="job",
        landmark=photo.landmark,
        columns={
            "number": photo.number,
            "even": photo.number % 2 == 0,
            "taken": f"{2020 + photo.number % 3}-{6 + photo.number % 2:02}-15T12:00:00Z",
        },
    ).to_payload()


@dataclass(frozen=True)
class Stack:
    """A search service in this event loop, and an encoder for each model."""

    search: SearchServiceStub
    indexing: IndexingServiceStub
    encoders: dict[str, ColourEncoder]
    channel: grpc.aio.Channel
    target: str


@asynccontextmanager
async def stack_running(
    qdrant: VectorStoreSettings,
    max_seconds: float = 30,
    targets: dict[str, list[str]] | None = None,
    recall_share: float = 0.0,
) -> AsyncIterator[Stack]:
    """Run a search service over a Qdrant, with one encoder for each model, or with `targets`."""
    encoders = {model: ColourEncoder(model) for model in MODELS}
    for encoder in encoders.values():
        await encoder.start()
    settings = SearchSettings(
        qdrant_port=qdrant.qdrant_port,
        redis_url=f"redis://127.0.0.1:{free_port()}/0",  # nobody is there
        encoders=targets or {model: [encoder.target] for model, encoder in encoders.items()},
        search_port=0,
        search_max_seconds=max_seconds,
        search_health_seconds=0.1,
        search_recall_share=recall_share,
    )
    try:
        async with running(settings) as service:
            target = f"127.0.0.1:{service.port}"
            async with open_aio_channel(target) as channel:
                search, indexing = SearchServiceStub(channel), IndexingServiceStub(channel)
                yield Stack(search, indexing, encoders, channel, target)
    finally:
        for encoder in encoders.values():
            await encoder.stop()


async def error_of(call: Awaitable[object]) -> LandmarksError:
    """Return the error that a call fails with."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error_from_rpc(error)
    raise AssertionError(f"the call succeeded: {answer}")


async def eventually(check: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until `check` is true."""
    deadline = time.monotonic() + BOUND_SECONDS
    while not await check():
        assert time.monotonic() < deadline, f"not within {BOUND_SECONDS} s: {what}"
        await asyncio.sleep(0.05)
