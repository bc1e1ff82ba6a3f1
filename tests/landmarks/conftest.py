from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient

from landmarks.vector_store.client import connect
from landmarks.vector_store.points import FloatVector, Point
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import edge_process
from tests.support.engine import engine_process, qdrant_binary
from tests.support.stores import SERVER_URL, Filled, StoreUnderTest, photo, photo_id, unit_rows


@pytest.fixture(scope="session")
def edge_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStoreSettings]:
    with edge_process(tmp_path_factory.mktemp("edge")) as server:
        yield VectorStoreSettings.load({"qdrant_port": server.port})


@pytest.fixture(scope="session")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStoreSettings]:
    """The server whose address is named, or one that runs the program that is."""
    if url := os.environ.get(SERVER_URL):
        parts = urlsplit(url if "//" in url else f"//{url}")
        yield VectorStoreSettings.load(
            {"qdrant_host": parts.hostname, "qdrant_port": parts.port or 6334}
        )
        return
    with engine_process(tmp_path_factory.mktemp("server")) as server:
        yield VectorStoreSettings.load({"qdrant_port": server.port})


def _opened(name: str, request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    if name == "memory":
        settings = VectorStoreSettings.load()
        client = QdrantClient(":memory:")
    else:
        named = "edge_settings" if name == "embedded" else "server_settings"
        settings = request.getfixturevalue(named)
        client = connect(settings)
    gallery = f"t{uuid4().hex[:12]}"
    yield StoreUnderTest(name, client, settings, gallery)
    for collection in client.get_collections().collections:
        if collection.name.startswith(gallery):
            client.delete_collection(collection.name)
    client.close()


_EMBEDDED = pytest.param("embedded", marks=pytest.mark.integration)
# A real server is one more engine wherever one is named; pytest's header says if not.
_NAMED = SERVER_URL in os.environ or qdrant_binary()
_SERVER = [pytest.param("server", marks=pytest.mark.integration)] if _NAMED else []


@pytest.fixture(params=[_EMBEDDED, "memory", *_SERVER])
def engine(request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    """Every engine that must give the same answers."""
    yield from _opened(request.param, request)


@pytest.fixture(params=[_EMBEDDED, *_SERVER])
def wire_engine(request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    """The engines that are reached over gRPC."""
    yield from _opened(request.param, request)


@pytest.fixture(params=[_EMBEDDED])
def embedded(request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    """The embedded engine alone."""
    yield from _opened(request.param, request)


@pytest.fixture
def stored() -> Callable[[StoreUnderTest, int], tuple[str, FloatVector]]:
    """Store this many photos and return the collection's name and their vectors."""
    return _store


@pytest.fixture(scope="module", params=[_EMBEDDED, "memory", *_SERVER])
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    """Every engine, filled once for all tests that only read."""
    opened = _opened(request.param, request)
    engine = next(opened)
    yield Filled(engine, *_store(engine, Filled.count))
    next(opened, None)


def _store(engine: StoreUnderTest, count: int) -> tuple[str, FloatVector]:
    name = engine.collection().name
    engine.collections.index_columns_of(name, ["caption"])
    rows = unit_rows(count)
    engine.points.upsert(
        name, [Point(photo_id(n), rows[n], photo(n).to_payload()) for n in range(count)]
    )
    return name, rows
