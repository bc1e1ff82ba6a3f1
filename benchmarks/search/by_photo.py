"""Figures 2 and 3: searching by photo beside encoding it, and several models beside the slowest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import grpc

from benchmarks.harness import Bench, Case, Measurement, in_turn, typical
from benchmarks.points import batches
from benchmarks.processes import Server
from benchmarks.search.query_load import Ask, median_seconds
from benchmarks.search.stack import SearchStack, qdrant_running, search_service
from benchmarks.services import encoder
from landmarkapi.encoder.v1 import encoder_pb2
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.client import Landmarks
from landmarks.rpc.channel import open_channel
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.settings import VectorStoreSettings

_GALLERY = "bench"
_POINTS = 5_000
_TOGETHER = ("scratch", "efficientnet_lite0", "vgg16")


def cases(models: Sequence[str]) -> Iterator[Case]:
    """Yield the figures `search-2` of each model, and `search-3`."""
    for model in models:
        yield Case({f"search-2-{model}-ms": "<= 12"}, partial(_measure_one, model))
    yield Case({"search-3-ms": "<= 15"}, _measure_together)


def _measure_one(model: str, bench: Bench) -> Mapping[str, Measurement]:
    photos = [photo.read_bytes() for photo in bench.photos]
    with contextlib.ExitStack() as parts:
        qdrant = parts.enter_context(qdrant_running())
        server = parts.enter_context(encoder(model))
        _fill(qdrant, model, server, _points(bench))
        stack = parts.enter_context(search_service(qdrant, {model: [server.target]}))
        total, alone = in_turn(
            bench.effort.repetitions,
            partial(_milliseconds, parts.enter_context(_search(stack, [model], photos)), bench),
            partial(_milliseconds, parts.enter_context(_encode(server, model, photos)), bench),
        )
    return {
        f"search-2-{model}-ms": Measurement(
            [one - other for one, other in zip(total, alone, strict=True)],
            f"{_points(bench)} points, one caller, medians: `Search` by photo"
            f" {typical(total, 'ms')}, `Encode` {typical(alone, 'ms')}",
        )
    }


def _measure_together(bench: Bench) -> Mapping[str, Measurement]:
    photos = [photo.read_bytes() for photo in bench.photos]
    with contextlib.ExitStack() as parts:
        qdrant = parts.enter_context(qdrant_running())
        servers = {model: parts.enter_context(encoder(model, threads=1)) for model in _TOGETHER}
        for model, server in servers.items():
            _fill(qdrant, model, server, _points(bench))
        targets = {model: [server.target] for model, server in servers.items()}
        stack = parts.enter_context(search_service(qdrant, targets))
        ways = [_TOGETHER, *([model] for model in _TOGETHER)]
        asks = [parts.enter_context(_search(stack, way, photos)) for way in ways]
        together, *alone = in_turn(
            bench.effort.repetitions, *(partial(_milliseconds, ask, bench) for ask in asks)
        )
    slowest = [max(values) for values in zip(*alone, strict=True)]
    each = "; ".join(
        f"{model} {typical(values, 'ms')}" for model, values in zip(_TOGETHER, alone, strict=True)
    )
    return {
        "search-3-ms": Measurement(
            [one - other for one, other in zip(together, slowest, strict=True)],
            f"medians, encoders of one thread each on {os.cpu_count()} cores: all three"
            f" {typical(together, 'ms')}; alone: {each}",
        )
    }


def _points(bench: Bench) -> int:
    return 500 if bench.effort.quick else _POINTS


def _milliseconds(ask: Ask, bench: Bench) -> float:
    return 1000 * median_seconds(ask, bench.effort.seconds / 2, bench.effort.warm_seconds / 2)


def _fill(qdrant: VectorStoreSettings, model: str, server: Server, count: int) -> None:
    """Make the collection that a model's vectors are searched in."""
    with open_channel(server.target) as channel:
        request = encoder_pb2.GetModelRequest(model=model)
        said = EncoderServiceStub(channel).GetModel(request, timeout=20).model
    with contextlib.closing(connect(qdrant)) as client:
        collections, store = Collections(client, qdrant), PointStore(client, qdrant)
        name = collections.to_write(_GALLERY, model, said.digest, said.dimension).name
        for batch in batches(count, dimension=said.dimension):
            store.upsert(name, batch)


@contextlib.contextmanager
def _search(stack: SearchStack, models: Sequence[str], photos: Sequence[bytes]) -> Iterator[Ask]:
    with Landmarks(stack.target) as client:
        yield lambda number: client.search(
            gallery=_GALLERY, photo=photos[number % len(photos)], models=models
        )


@contextlib.contextmanager
def _encode(server: Server, model: str, photos: Sequence[bytes]) -> Iterator[Ask]:
    channel: grpc.Channel
    with open_channel(server.target) as channel:
        stub = EncoderServiceStub(channel)
        yield lambda number: stub.Encode(
            encoder_pb2.EncodeRequest(model=model, photo=photos[number % len(photos)]), timeout=60
        )
