"""Qdrant at several addresses: what a node that fails costs, and that it is used when it is back.

The nodes are embedded servers, each with points of its own, so that an answer says whose it is.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from qdrant_client import grpc as q
from qdrant_client import models

from landmarks.errors import ConfigurationError, LandmarksError
from landmarks.rpc import name_watch
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.client import (
    addresses_of,
    connect,
    connect_async,
    connect_to,
    nodes_of,
)
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.certificates import SERVER_NAME, Authority
from tests.support.dns_server import dns_server
from tests.support.edge import EdgeProcess, edge_process
from tests.support.ports import free_port
from tests.support.stores import photo_id, unit_rows

NAME = "photos"
DIMENSION = 16
# Less than after which a client without several addresses takes a silent connection for dead.
CALL_SECONDS = 12
PATIENCE_SECONDS = 30


class Node:
    """An embedded server whose points carry its number."""

    def __init__(self, number: int, folder: Path, host: str, port: int) -> None:
        self.number = number
        self.address = f"{host}:{port}"
        self._folder, self._host, self._port = folder, host, port
        self._running = ExitStack()
        self._process: EdgeProcess | None = None

    def start(self) -> None:
        self._process = self._running.enter_context(
            edge_process(self._folder, self._port, host=self._host)
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._running.close()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.process.send_signal(number)

    def end(self) -> None:
        if self._process is not None and self._process.process.poll() is None:
            self.send(signal.SIGCONT)
        self._running.close()

    def fill(self) -> None:
        settings = VectorStoreSettings.load({"qdrant_host": self.address})
        with closing(connect(settings)) as client:
            client.create_collection(
                NAME, models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
            )
            row = unit_rows(1, DIMENSION)[0].tolist()
            point = models.PointStruct(
                id=str(photo_id(0)), vector=row, payload={"node": self.number}
            )
            client.upsert(NAME, [point], wait=True)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Node]]:
    """Two nodes, of one port and two addresses."""
    port = free_port()
    nodes = [Node(number, tmp_path / str(number), f"127.0.0.{number}", port) for number in (1, 2)]
    try:
        for node in nodes:
            node.start()
            node.fill()
        yield nodes
    finally:
        for node in nodes:
            node.end()


@dataclass
class Answers:
    """Who has answered, and what has failed, by the way it was asked."""

    numbers: dict[str, list[int]] = field(default_factory=dict)
    failures: list[tuple[str, LandmarksError]] = field(default_factory=list)

    def are_of(self, numbers: set[int]) -> bool:
        """Whether the last few on each of the three ways came from these nodes, and from all."""
        latest = [own[-8:] for own in self.numbers.values()]
        return len(latest) == 3 and all(len(own) == 8 and set(own) == numbers for own in latest)


@asynccontextmanager
async def searching(settings: VectorStoreSettings) -> AsyncIterator[Answers]:
    """Search in a loop on the three ways on which calls reach Qdrant."""
    answers = Answers()
    query = Query(unit_rows(1, DIMENSION)[0], limit=1)
    store, client, aio = SearchStore(settings), connect(settings), connect_async(settings)
    points = PointStore(client, settings)

    async def in_messages() -> int:
        [[hit]] = await store.query(NAME, [query], CALL_SECONDS)
        return int(str(hit.payload["node"]))

    async def in_thread() -> int:
        [[hit]] = await asyncio.to_thread(points.query, NAME, [query], CALL_SECONDS)
        return int(str(hit.payload["node"]))

    async def by_client() -> int:
        with qdrant_failures(""):
            [record] = await aio.retrieve(NAME, [str(photo_id(0))], timeout=CALL_SECONDS)
        return int((record.payload or {})["node"])

    async def go_on(way: Callable[[], Awaitable[int]]) -> None:
        numbers = answers.numbers.setdefault(way.__name__, [])
        while True:
            try:
                numbers.append(await way())
            except LandmarksError as error:
                answers.failures.append((way.__name__, error))
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(go_on(way)) for way in (in_messages, in_thread, by_client)]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await store.close()
        await aio.close()
        client.close()


async def until_answered_by(numbers: set[int], answers: Answers) -> None:
    """Wait until these nodes, and no other, give the answers on every way."""
    for own in answers.numbers.values():
        own.clear()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not answers.are_of(numbers):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.05)


def listed(nodes: list[Node]) -> VectorStoreSettings:
    return VectorStoreSettings.load({"qdrant_host": ",".join(node.address for node in nodes)})


@pytest.mark.integration
@pytest.mark.slow
async def test_no_search_fails_when_a_node_is_killed_and_it_is_used_when_it_is_back(
    nodes: list[Node],
) -> None:
    async with searching(listed(nodes)) as answers:
        await until_answered_by({1, 2}, answers)
        nodes[0].kill()
        await until_answered_by({2}, answers)
        await asyncio.to_thread(nodes[0].start)
        await until_answered_by({1, 2}, answers)
    assert not answers.failures


@pytest.mark.integration
@pytest.mark.slow
async def test_no_search_fails_when_a_node_is_stopped_and_it_is_used_when_it_goes_on(
    nodes: list[Node],
) -> None:
    async with searching(listed(nodes)) as answers:
        await until_answered_by({1, 2}, answers)
        nodes[1].send(signal.SIGSTOP)
        await until_answered_by({1}, answers)
        nodes[1].send(signal.SIGCONT)
        await until_answered_by({1, 2}, answers)
    assert not answers.failures


@pytest.mark.integration
@pytest.mark.slow
async def test_the_same_of_a_name_with_two_addresses_and_of_two_names(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_watch, "_LOOK_UP_SECONDS", 0.1)
    port = nodes[0].address.rpartition(":")[2]
    with dns_server(monkeypatch) as dns:
        one, two = (node.address.partition(":")[0] for node in nodes)
        dns.zone = {"both.test": [one, two], "one.test": [one], "two.test": [two]}
        for host in (dns.name("both.test"), "one.test,two.test"):
            settings = VectorStoreSettings.load({"qdrant_host": host, "qdrant_port": port})
            assert nodes_of(settings) == tuple(node.address for node in nodes)
            async with searching(settings) as answers:
                await until_answered_by({1, 2}, answers)
                nodes[1].send(signal.SIGSTOP)
                await until_answered_by({1}, answers)
                nodes[1].send(signal.SIGCONT)
                await until_answered_by({1, 2}, answers)
            assert not answers.failures


def test_each_node_is_reached_at_its_own_address(nodes: list[Node]) -> None:
    settings = listed(nodes)
    assert nodes_of(settings) == addresses_of(settings) == tuple(node.address for node in nodes)
    for node in nodes:
        with closing(connect_to(settings, node.address)) as client:
            [record] = client.retrieve(NAME, [str(photo_id(0))])
            assert record.payload == {"node": node.number}


class Recording(q.PointsServicer):
    """Answers, or fails with `code`; notes the attempt and the authority of each call."""

    def __init__(self, code: grpc.StatusCode | None = None) -> None:
        self.code = code
        self.attempts: list[int] = []
        self.authorities: set[str] = set()

    def QueryBatch(self, request: q.QueryBatchPoints, context: grpc.ServicerContext):  # noqa: N802
        self._note(context)
        return q.QueryBatchResponse(result=[q.BatchResult()])

    def Upsert(self, request: q.UpsertPoints, context: grpc.ServicerContext):  # noqa: N802
        self._note(context)
        return q.PointsOperationResponse()

    def _note(self, context: grpc.ServicerContext) -> None:
        metadata = dict(context.invocation_metadata())
        self.attempts.append(int(metadata.get("grpc-previous-rpc-attempts", 0)))
        self.authorities.add(context._rpc_event.call_details.host.decode())
        if self.code is not None:
            context.abort(self.code, "Service internal error: transport error")


@pytest.fixture
def recording() -> Iterator[Callable[..., VectorStoreSettings]]:
    """Serve servicers, each at an address of its own, and give the settings that list these."""
    servers: list[grpc.Server] = []

    def serve(
        *servicers: Recording, credentials: grpc.ServerCredentials | None = None, **more: object
    ) -> VectorStoreSettings:
        ports = []
        for servicer in servicers:
            server = grpc.server(
                ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)]
            )
            servers.append(server)
            q.points_service_pb2_grpc.add_PointsServicer_to_server(servicer, server)
            ports.append(
                server.add_secure_port("127.0.0.1:0", credentials)
                if credentials
                else server.add_insecure_port("127.0.0.1:0")
            )
            server.start()
        host = ",".join(f"127.0.0.1:{port}" for port in ports)
        return VectorStoreSettings.load({"qdrant_host": host, **more})

    yield serve
    for server in servers:
        server.stop(None)


@asynccontextmanager
async def asking(
    settings: VectorStoreSettings, nodes: Sequence[Recording], dimension: int = DIMENSION
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Give a search in both ways that have channels of their own, connected to every node."""
    query = Query(unit_rows(1, dimension)[0], limit=1)
    store, client = SearchStore(settings), connect(settings)
    points = PointStore(client, settings)

    async def in_messages() -> None:
        await store.query(NAME, [query])

    async def in_thread() -> None:
        await asyncio.to_thread(points.query, NAME, [query])

    async def search() -> None:
        await in_messages()
        await in_thread()

    for way in (in_messages, in_thread):
        for node in nodes:
            node.attempts.clear()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(node.attempts for node in nodes):
                await way()
    for node in nodes:
        node.attempts.clear()
    try:
        yield search
    finally:
        await store.close()
        client.close()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
@pytest.mark.parametrize("dimension", [DIMENSION, 200_000])
async def test_a_node_that_cannot_answer_costs_a_search_one_retry(
    recording: Callable[..., VectorStoreSettings], code: grpc.StatusCode, dimension: int
) -> None:
    away, well = Recording(), Recording()
    async with asking(recording(away, well), (away, well), dimension) as search:
        away.code = code
        for _ in range(6):
            await search()
    assert len(well.attempts) == 12
    assert away.attempts
    assert set(away.attempts) == {0}
    assert max(well.attempts) == 1


async def test_a_write_is_not_sent_again_after_an_internal_error(
    recording: Callable[..., VectorStoreSettings],
) -> None:
    nodes = [Recording(grpc.StatusCode.INTERNAL), Recording(grpc.StatusCode.INTERNAL)]
    settings = recording(*nodes)
    with closing(connect(settings)) as client, pytest.raises(LandmarksError), qdrant_failures(""):
        client.upsert(NAME, [models.PointStruct(id=1, vector=[1.0])])
    assert nodes[0].attempts + nodes[1].attempts == [0]


async def test_calls_are_addressed_to_one_host_as_qdrant_demands(
    recording: Callable[..., VectorStoreSettings],
) -> None:
    nodes = [Recording(), Recording()]
    settings = recording(*nodes)
    async with asking(settings, nodes):
        pass
    for node in nodes:
        assert node.authorities == {addresses_of(settings)[0]}


async def test_with_tls_a_list_needs_a_name_that_all_certificates_have(
    recording: Callable[..., VectorStoreSettings], tmp_path: Path
) -> None:
    files = Authority(tmp_path).issue("qdrant", addresses=(SERVER_NAME,))
    credentials = grpc.ssl_server_credentials(
        [(files.key.read_bytes(), files.certificate.read_bytes())]
    )
    nodes = [Recording(), Recording()]
    tls = {"qdrant_tls": True, "qdrant_tls_ca": str(files.ca)}
    settings = recording(*nodes, credentials=credentials, **tls)
    for opening in (connect, SearchStore):
        with pytest.raises(ConfigurationError, match="LANDMARKS_TLS_SERVER_NAME"):
            opening(settings)
    named = settings.model_copy(update={"tls_server_name": SERVER_NAME})
    async with asking(named, nodes):
        pass
