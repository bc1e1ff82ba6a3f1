"""A node misses writes, and comes back: its copies are compared and made the same again.

The layout is the one that diverges: as many acknowledgements as there are copies.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from qdrant_client import models
from typer.testing import CliRunner

from landmarks.client import AsyncLandmarks
from landmarks.errors import LandmarksError
from landmarks.job_store.copy_checks import CopyCheck, CopyChecks
from landmarks.job_store.records import JobState
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import JobKind
from landmarks.naming import alias_name, collection_name
from landmarks.rpc.channel import open_aio_channel
from landmarks.vector_store.client import connect
from landmarks.vector_store.copies import CopyComparer, Node
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.marks import GENERATION, MARK, Mark, only_marks
from landmarks.vector_store.points import Point
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks.vector_store.store import VectorStore
from landmarks_tools.cli.app import app
from landmarks_tools.cli.output import ExitCode
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.colour_encoder import DIGEST, DIMENSION
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.processes import eventually
from tests.support.qdrant_cluster.clusters import NODES, Cluster
from tests.support.stores import photo, photo_id, unit_rows
from tests.support.valkey import running_valkey

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]


class Diverging:
    """A gallery on the cluster whose copies diverge when a node is away."""

    def __init__(self, cluster: Cluster, rig: Rig, store: VectorStore, gallery: str) -> None:
        self.cluster = cluster
        self.rig = rig
        self.store = store
        self.gallery = gallery
        self.name = collection_name(gallery, MODEL, DIGEST)
        self.checks = CopyChecks(connect_redis(rig.valkey.url), rig.valkey.url)

    @property
    def hosts(self) -> str:
        return ",".join(self.cluster.addresses)

    def put(self, numbers: range, generation: int) -> None:
        rows = unit_rows(numbers.stop, DIMENSION, seed=generation)
        bookkeeping = {GENERATION: generation}
        points = [
            Point(photo_id(n), rows[n], {**photo(n).to_payload(), **bookkeeping}) for n in numbers
        ]
        self.store.points.upsert(self.name, points)

    def delete(self, numbers: range, generation: int) -> None:
        """Replace photos by marks, in one operation: a second would not be tried after an error."""
        payload = {MARK: Mark.DELETED.value, GENERATION: generation}
        marks = [
            models.PointStruct(id=str(photo_id(n)), vector={}, payload=payload) for n in numbers
        ]
        with qdrant_failures(self.hosts):
            self.store.collections._client.upsert(self.name, marks, wait=True)

    def miss(self, node: int = 3) -> None:
        """Write while a node is away: it misses new photos, new versions and deletions."""
        self.cluster.kill(node)
        calls: list[Callable[[], object]] = [
            lambda: self.put(range(300, 360), 6),
            lambda: self.put(range(60), 7),
            lambda: self.delete(range(60, 120), 8),
        ]
        for call in calls:
            with suppress(LandmarksError):  # it stays on the copies that it reached
                call()

    def come_back(self, node: int = 3) -> None:
        self.cluster.start(node)
        self.cluster.await_whole()

    def photos(self) -> list[set[str]]:
        """Return the ids of the photos that each node finds."""
        found = []
        for node in NODES:
            with closing(self.cluster.client(node)) as client:
                page, _ = client.scroll(self.name, limit=1000, with_payload=True)
                found.append({one.id for one in page if "path" in one.payload})
        return found

    def compared(self) -> CopyCheck:
        eventually(lambda: self.checks.find(self.name) is not None, "a check by itself", 120)
        found = self.checks.find(self.name)
        assert found is not None
        return found

    def worker(self, **more: str):
        return self.rig.worker(qdrant_host=self.hosts, sweep_seconds="0.5", **more)


@contextmanager
def _collection(store: VectorStore, name: str, gallery: str) -> Iterator[None]:
    client = store.collections._client
    metadata = {"gallery": gallery, "model": MODEL, "digest": DIGEST, "dimension": DIMENSION}
    client.create_collection(
        name,
        vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE),
        shard_number=6,
        replication_factor=2,
        write_consistency_factor=2,
        metadata=metadata,
    )
    alias = models.CreateAlias(collection_name=name, alias_name=alias_name(gallery, MODEL))
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    store.collections.to_write(gallery, MODEL, DIGEST, DIMENSION)
    yield
    client.delete_collection(name)


@pytest.fixture
def diverging(
    cluster: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Diverging]:
    gallery = f"t{uuid4().hex[:12]}"
    settings = VectorStoreSettings.load({"qdrant_host": ",".join(cluster.addresses)})
    with ExitStack() as ends:
        valkey = ends.enter_context(running_valkey(tmp_path_factory.mktemp("valkey")))
        rig = Rig(tmp_path, valkey, tmp_path_factory.mktemp("photos"))
        store = ends.enter_context(closing(VectorStore(settings)))
        made = Diverging(cluster, rig, store, gallery)
        ends.enter_context(_collection(store, made.name, gallery))
        made.put(range(200), 5)
        yield made


async def test_copies_are_compared_when_a_node_is_back_and_a_repair_makes_them_the_same(
    diverging: Diverging,
) -> None:
    with diverging.worker():
        assert diverging.compared().agree
        diverging.miss()
        eventually(lambda: diverging.name in diverging.checks.due(), "it is due", 60)
        diverging.come_back()
        assert len(set(map(frozenset, diverging.photos()))) > 1
        eventually(lambda: not diverging.compared().agree, "the check finds it", 120)
        found = diverging.compared()
        by_node = {one.node: one for one in found.nodes}
        assert set(by_node) == set(diverging.cluster.addresses)
        away = by_node[diverging.cluster.addresses[2]]
        assert min(away.missing, away.older, away.returned) > 0
        await _shown_and_repaired(diverging)
    one, two, three = diverging.photos()
    expected = {str(photo_id(n)) for n in (*range(60), *range(120, 200), *range(300, 360))}
    assert one == two == three == expected


async def _shown_and_repaired(diverging: Diverging) -> None:
    settings = SearchSettings(
        qdrant_host=diverging.hosts,
        redis_url=diverging.rig.valkey.url,
        encoders={MODEL: diverging.rig.encoders},
        search_port=0,
    )
    async with running(settings) as service:
        target = f"127.0.0.1:{service.port}"
        async with AsyncLandmarks(target) as client, open_aio_channel(target) as channel:
            health = HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service=diverging.name)
            assert (
                await health.Check(request)
            ).status == health_pb2.HealthCheckResponse.NOT_SERVING
            [shown] = await client.collections(diverging.gallery)
            assert shown.copy_check.differing == diverging.compared().points
            assert f"--repair {diverging.name}" in shown.problem
            live = alias_name(diverging.gallery, MODEL)
            checked = await _command(target, "--check", live, "--json")
            assert checked.exit_code == ExitCode.COPIES_DIFFER
            nodes = json.loads(checked.stdout)["nodes"]
            assert [one["node"] for one in nodes] == diverging.cluster.addresses
            repaired = await _command(target, "--repair", live)
            assert repaired.exit_code == ExitCode.OK
            assert "points repaired" in repaired.stdout
            [shown] = await client.collections(diverging.gallery)
            assert shown.copy_check.agree
            assert shown.problem == ""


async def _command(target: str, *arguments: str) -> Result:
    command = ["collections", *arguments, "--server", target]
    return await asyncio.to_thread(CliRunner().invoke, app, command)


def test_marks_of_deletions_stay_until_the_copies_agree(diverging: Diverging) -> None:
    draw_photo(diverging.rig.photos / "a.png", 1)
    diverging.miss()
    diverging.come_back()
    comparer = _comparer(diverging)
    before = comparer.compare(diverging.name)
    assert before.nodes[2].returned > 0
    with diverging.rig.encoder(), diverging.worker(deletion_mark_days="0.00001"):
        diverging.rig.index(diverging.gallery, diverging.rig.photos)
        after = comparer.compare(diverging.name)
        assert after.nodes[2].returned == before.nodes[2].returned

        spec = {"kind": JobKind.REPAIR, "source": diverging.name}
        job = diverging.rig.ended(diverging.rig.create(diverging.gallery, **spec))
        assert job.state is JobState.SUCCEEDED, job.error
        assert diverging.compared().agree
        assert _marks(diverging) > 0
        diverging.rig.index(diverging.gallery, diverging.rig.photos)
        assert _marks(diverging) == 0
    assert comparer.compare(diverging.name).agree


def _marks(diverging: Diverging) -> int:
    client = diverging.store.collections._client
    return client.count(diverging.name, only_marks(), exact=True).count


def _comparer(diverging: Diverging) -> CopyComparer:
    settings = [
        VectorStoreSettings.load({"qdrant_port": diverging.cluster.port(node)}) for node in NODES
    ]
    nodes = [Node(str(n), connect(one)) for n, one in zip(NODES, settings, strict=True)]
    return CopyComparer(nodes, lambda _: None)
