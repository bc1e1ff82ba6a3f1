"""Copies of a collection that differ are found, and made the same again.

The nodes are embedded servers that each hold a copy; what is written through the cluster reaches
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from qdrant_client import models

from landmarks.errors import NotFoundError
from landmarks.vector_store.client import connect
from landmarks.vector_store.cluster import Cluster, has_several_copies
from landmarks.vector_store.copies import (
    Copy,
    CopyComparer,
    Difference,
    Node,
    NodeCounts,
    differences,
    is_wrong,
)
from landmarks.vector_store.copy_repair import CopyRepair
from landmarks.vector_store.marks import GENERATION, Claim, Mark, Seen
from landmarks.vector_store.points import Point, point_id
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.edge import edge_process
from tests.support.stores import DIMENSION, StoreUnderTest, photo, photo_id, unit_rows
from tests.support.writes_to_all import writes_to_all

NONE = None
MISSING, OLDER, RETURNED = Difference.MISSING, Difference.OLDER, Difference.RETURNED
UNCLEAR, DIFFERENT, HARMLESS = Difference.UNCLEAR, Difference.DIFFERENT, Difference.HARMLESS

NEW, OLD, PLAIN, OTHER = (
    Copy(Seen(9)),
    Copy(Seen(5)),
    Copy(Seen(0), ("2026-01-01", "a")),
    Copy(Seen(0), ("2026-01-02", "b")),
)
DELETED = Copy(Seen(7, mark=Mark.DELETED))
RESERVED = Copy(Seen(0, Claim(8, "job|work|1"), Mark.RESERVED))


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        pytest.param((NEW, NEW), (NONE, NONE), id="the same"),
        pytest.param((NEW, NONE), (NONE, MISSING), id="a write was missed"),
        pytest.param((NEW, OLD), (NONE, OLDER), id="another write was missed"),
        pytest.param((OLD, DELETED), (RETURNED, NONE), id="a deletion was missed"),
        pytest.param((PLAIN, DELETED, NONE), (RETURNED, NONE, HARMLESS), id="of an old photo"),
        pytest.param((NEW, DELETED), (NONE, MISSING), id="it was stored again"),
        pytest.param((OLD, RESERVED), (NONE, MISSING), id="a photo where another has its place"),
        pytest.param((PLAIN, NONE), (NONE, UNCLEAR), id="nobody can say"),
        pytest.param((PLAIN, OTHER), (DIFFERENT, NONE), id="the one indexed later"),
        pytest.param((PLAIN, OLD), (OLDER, NONE), id="an earlier release's"),
        pytest.param((RESERVED, NONE), (NONE, HARMLESS), id="a reservation"),
        pytest.param((DELETED, NONE), (NONE, HARMLESS), id="a mark"),
        pytest.param(
            (NEW, Copy(Seen(9, Claim(11, "job|work|2")))), (NONE, NONE), id="a claim is nothing"
        ),
    ],
)
def test_the_newest_copy_of_a_point_is_right(copies: tuple[Copy | None, ...], expected: tuple):
    assert differences(copies) == expected
    assert is_wrong(copies) == bool(set(expected) - {NONE, HARMLESS})


@dataclass
class Nodes:
    """Three nodes, what reaches all of them, and a collection."""

    all: StoreUnderTest
    each: Sequence[StoreUnderTest]
    name: str
    pauses: list[float] = field(default_factory=list)
    on_pause: Callable[[], object] = lambda: None

    def comparer(self) -> CopyComparer:
        nodes = [Node(one.name, one.client) for one in self.each]
        return CopyComparer(nodes, self._pause)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.on_pause()

    def repair(self, deletion: int | None = None) -> int:
        client, acknowledged = self.all.client, lambda call: call()
        return CopyRepair(self.comparer(), client, "all", acknowledged, deletion).repair(self.name)

    def counts(self) -> dict[str, NodeCounts]:
        return {one.node: one for one in self.comparer().compare(self.name).nodes}

    def raw(self) -> list[dict[str, tuple[Mapping[str, Any], Any]]]:
        """Return each node's points, by id: payload and vector."""
        found = []
        for one in self.each:
            page, following = one.client.scroll(
                self.name, limit=30_000, with_payload=True, with_vectors=True
            )
            assert following is None
            found.append({str(point.id): (point.payload, point.vector) for point in page})
        return found


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Sequence[int]]]:
    with ExitStack() as ends:
        ports = [
            ends.enter_context(edge_process(tmp_path_factory.mktemp(f"node{n}"))).port
            for n in range(3)
        ]
        yield ends.enter_context(writes_to_all(ports)), ports


@pytest.fixture
def nodes(servers: tuple[int, Sequence[int]]) -> Iterator[Nodes]:
    gallery = f"t{uuid4().hex[:12]}"
    to_all, ports = servers
    with ExitStack() as ends:

        def store(name: str, port: int) -> StoreUnderTest:
            settings = VectorStoreSettings.load({"qdrant_port": port})
            client = ends.enter_context(closing(connect(settings)))
            return StoreUnderTest(name, client, settings, gallery)

        each = [store(f"node{n}", port) for n, port in enumerate(ports, 1)]
        everywhere = store("all", to_all)
        name = everywhere.collection().name
        yield Nodes(everywhere, each, name)
        everywhere.client.delete_collection(name)


def put(store: StoreUnderTest, name: str, numbers: Sequence[int], generation: int) -> None:
    """Store photos as a write of this generation; 0 is one of an earlier release."""
    rows = unit_rows(max(numbers) + 1, seed=generation)
    bookkeeping = {GENERATION: generation} if generation else {}
    points = [
        Point(photo_id(n), rows[n], {**photo(n).to_payload(), **bookkeeping}) for n in numbers
    ]
    store.points.upsert(name, points)


def ids(numbers: Sequence[int]) -> list[UUID]:
    return [photo_id(n) for n in numbers]


def diverged(nodes: Nodes) -> None:
    """Fill the copies with what a node that was away twice leaves behind."""
    one, two, three = nodes.each
    put(nodes.all, nodes.name, range(100), 5)
    for store in (one, two):  # the third was away
        put(store, nodes.name, range(100, 110), 6)  # new
        put(store, nodes.name, range(10), 7)  # encoded again
        store.writes.delete(nodes.name, 8, ids(range(10, 30)))
    for store in (one, three):  # then the second was
        put(store, nodes.name, range(110, 113), 9)
        store.writes.delete(nodes.name, 10, ids(range(40, 44)))
        put(store, nodes.name, [20], 11)  # what was deleted is stored again
    put(one, nodes.name, [200], 0)
    put(one, nodes.name, [201], 0)
    later = {**photo(201).to_payload(), "indexed_at": "2026-06-01T00:00:00+00:00", "sha256": "f"}
    for store in (two, three):
        store.points.upsert(nodes.name, [Point(photo_id(201), unit_rows(1)[0], later)])


@pytest.mark.integration
def test_a_check_counts_what_each_node_lacks_and_what_came_back(nodes: Nodes) -> None:
    diverged(nodes)
    found = nodes.comparer().compare(nodes.name)
    assert not found.agree
    by_node = {one.node: one for one in found.nodes}
    assert by_node["node1"] == NodeCounts("node1", photos=92, different=1)
    assert by_node["node2"] == NodeCounts("node2", photos=91, missing=4, returned=4, unclear=1)
    assert by_node["node3"] == NodeCounts(
        "node3", photos=100, missing=10, older=10, returned=19, unclear=1
    )
    assert len(found.examples) == 5
    assert found.compared == 115


@pytest.mark.integration
def test_a_repair_makes_all_copies_the_same_without_encoding(nodes: Nodes) -> None:
    diverged(nodes)
    before = nodes.raw()
    assert nodes.repair() == 4 + 4 + 2 + 10 + 10 + 19
    found = nodes.comparer().compare(nodes.name)
    assert found.agree
    assert found.harmless == 0
    one, two, three = nodes.raw()
    assert one == two == three
    later = str(photo_id(201))
    newest = {**before[0], later: before[1][later]}  # the first node was never away
    assert {id_: payload for id_, (payload, _) in one.items()} == {
        id_: payload for id_, (payload, _) in newest.items()
    }
    for id_, (_, vector) in one.items():
        np.testing.assert_allclose(vector or [], newest[id_][1] or [], atol=1e-6)
    assert nodes.repair() == 0


@pytest.mark.integration
def test_a_photo_that_only_some_copies_have_can_be_deleted_instead(nodes: Nodes) -> None:
    put(nodes.all, nodes.name, range(3), 0)
    put(nodes.each[0], nodes.name, [5], 0)
    put(nodes.each[0], nodes.name, [6], 4)
    assert nodes.repair(deletion=9) == 2
    for store in nodes.each:
        assert set(store.points.payloads(nodes.name, ids(range(10)))) == set(ids([0, 1, 2, 6]))
    assert nodes.comparer().compare(nodes.name).agree


@pytest.mark.integration
def test_of_one_copy_there_is_nothing_to_compare(nodes: Nodes) -> None:
    first = nodes.each[0]
    with closing(Cluster(first.settings)) as cluster:
        assert cluster.nodes_of(nodes.name) == []
        assert cluster.away() == []
        with pytest.raises(NotFoundError):
            cluster.nodes_of("nothing__vgg16__00000000")
    assert not has_several_copies(first.client, "node1", nodes.name)


@pytest.mark.integration
def test_a_write_on_its_way_is_no_difference(nodes: Nodes) -> None:
    one, two, three = nodes.each
    put(nodes.all, nodes.name, range(10), 5)
    put(one, nodes.name, range(4), 6)
    one.writes.delete(nodes.name, 7, ids([8]))

    def arrive() -> None:
        for store in (two, three):
            put(store, nodes.name, range(3), 6)
            store.writes.delete(nodes.name, 7, ids([8]))

    nodes.on_pause = arrive
    found = nodes.comparer().compare(nodes.name)
    assert found.points == 1
    assert found.examples == (str(photo_id(3)),)
    assert len(nodes.pauses) == 2


@pytest.mark.integration
def test_claims_and_what_a_dead_worker_reserved_are_no_difference(nodes: Nodes) -> None:
    put(nodes.all, nodes.name, range(3), 5)
    first = nodes.each[0]
    claim = Claim(6, "job|work|1")
    planned = {photo_id(n): photo(n).to_payload() for n in (0, 7)}
    first.writes.claim(nodes.name, claim, first.writes.seen(nodes.name, ids([0])), planned)
    found = nodes.comparer().compare(nodes.name)
    assert (found.agree, found.harmless) == (True, 1)
    assert nodes.repair() == 0
    assert first.writes.seen(nodes.name, ids([0, 7]))[photo_id(7)].claim == claim


@pytest.mark.integration
def test_a_repair_keeps_the_claim_of_a_newer_write(nodes: Nodes) -> None:
    put(nodes.all, nodes.name, range(2), 5)
    put(nodes.each[0], nodes.name, [0, 1], 6)
    claim = Claim(8, "job|work|1")
    seen = nodes.each[1].writes.seen(nodes.name, ids([0]))
    nodes.all.writes.claim(nodes.name, claim, seen, {})
    assert nodes.each[0].writes.seen(nodes.name, ids([0]))[photo_id(0)].claim is None
    assert nodes.repair() == 2
    seen = [store.writes.seen(nodes.name, ids([0]))[photo_id(0)] for store in nodes.each]
    assert [one.generation for one in seen] == [6, 6, 6]
    assert [one.claim for one in seen] == [None, claim, claim]


class _Between:
    """A client that lets something happen before one of its writes."""

    def __init__(self, client: Any, before: int, event: Callable[[], object]) -> None:
        self._client = client
        self._left = before
        self._event = event

    def batch_update_points(self, *arguments: Any, **options: Any) -> Any:
        if self._left == 0:
            self._event()
        self._left -= 1
        return self._client.batch_update_points(*arguments, **options)


@pytest.mark.integration
@pytest.mark.parametrize("before", [0, 1], ids=["before the reservation", "before the write"])
@pytest.mark.parametrize("event", ["deleted", "deleted by its path", "written"])
def test_what_is_newer_wins_on_every_copy(nodes: Nodes, event: str, before: int) -> None:
    put(nodes.all, nodes.name, range(3), 5)
    for store in nodes.each[:2]:
        put(store, nodes.name, [7], 6)
    put(nodes.each[0], nodes.name, [0], 6)

    def newer() -> None:
        if event == "deleted":
            nodes.all.writes.delete(nodes.name, 9, ids([0, 7]))
        elif event == "deleted by its path":
            for n in (0, 7):
                for store in nodes.each:  # a cluster deletes what one of the nodes finds
                    store.writes.delete(nodes.name, 9, ids([n]))
        else:
            for store in nodes.each:
                put(store, nodes.name, [0, 7], 9)

    comparer = nodes.comparer()
    client = _Between(nodes.all.client, before, newer)
    CopyRepair(comparer, client, "all", lambda call: call()).repair(nodes.name)
    seen = [store.writes.seen(nodes.name, ids([0, 7])) for store in nodes.each]
    assert all(one[photo_id(0)].generation == 9 for one in seen)
    photos = [set(store.points.payloads(nodes.name, ids([0, 7]))) for store in nodes.each]
    expected = set(ids([0, 7])) if event == "written" else set()
    assert photos == [expected] * 3
    assert comparer.compare(nodes.name).agree


@pytest.mark.slow
@pytest.mark.integration
def test_many_points_are_compared_page_by_page(nodes: Nodes) -> None:
    count = 20_000
    random = np.random.default_rng(1)
    rows = random.normal(size=(count, DIMENSION)).astype(np.float32)
    numbers = [point_id("many", "s", str(n)) for n in range(count)]
    points = [
        models.PointStruct(id=str(one), vector=row.tolist(), payload={GENERATION: 5})
        for one, row in zip(numbers, rows, strict=True)
    ]
    for start in range(0, count, 2000):
        nodes.all.client.upsert(nodes.name, points[start : start + 2000], wait=True)
    gone = [numbers[n] for n in random.choice(count, 1500, replace=False)]
    nodes.each[1].points.delete(nodes.name, gone)
    nodes.each[2].writes.delete(nodes.name, 6, gone[:500])
    found = nodes.comparer().compare(nodes.name)
    assert (found.compared, found.points) == (count, 1500)
    assert found.nodes[1].missing == 1000
    assert found.nodes[0].returned == 500
    assert nodes.repair() == 1500
    assert nodes.comparer().compare(nodes.name).agree
    assert nodes.each[0].points.count(nodes.name) == count - 500
