"""Whatever happens to nodes, each has every photo in the end, and none that was deleted.

Of each scenario the table at the end of the run says how searches fared meanwhile; what is asserted
is what the nodes have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from landmarks.batched import batched
from landmarks.errors import DeadlineError, UnavailableError
from landmarks.vector_store.client import connect
from landmarks.vector_store.export import CollectionTransfer
from tests.cluster.searching import Searching
from tests.cluster.stack import Gallery, Stack, stack_running
from tests.support.colour_encoder import digest_of
from tests.support.indexing_rig import MODEL, draw_photo
from tests.support.processes import eventually
from tests.support.qdrant_cluster.clusters import NODES, Cluster

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

PHOTOS = 120
# Copies and acknowledgements.
LAYOUTS = {"2/1": (2, 1), "3/2": (3, 2)}


@pytest.fixture(scope="module", params=LAYOUTS)
def running(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    layout = LAYOUTS[request.param]
    with stack_running(tmp_path_factory.mktemp("stack"), cluster, *layout) as stack:
        yield stack


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    """The product, with all nodes running; so they are afterwards."""
    yield running
    running.cluster.restore()


@pytest.fixture
def gallery(stack: Stack) -> Iterator[Gallery]:
    """Photos that are not indexed yet."""
    made = stack.gallery(PHOTOS)
    yield made
    stack.cluster.restore()
    for _ in stack.client.collections(made.name):
        stack.client.drop_gallery(made.name)
        break


@pytest.fixture
def indexed(stack: Stack, gallery: Gallery) -> Gallery:
    """A gallery that all nodes have."""
    stack.ended(stack.index(gallery))
    return gallery


@pytest.fixture
def searching(
    request: pytest.FixtureRequest, stack: Stack
) -> Iterator[Callable[[Gallery], Searching]]:
    """Makes what searches a gallery; what came of it is in the table."""
    made: list[Searching] = []

    def search(gallery: Gallery) -> Searching:
        made.append(Searching(stack.target, gallery.name, gallery.photo()))
        return made[-1]

    yield search
    for one in made:
        request.node.user_properties.append(("searches", one.row))


_Search = Callable[[Gallery], Searching]


def test_a_job_a_new_gallery_and_a_deletion_while_a_node_is_away(
    stack: Stack, gallery: Gallery
) -> None:
    cluster = stack.cluster
    job = stack.index(gallery)
    stack.await_part(job, 0.25)
    cluster.kill(3)
    [progress] = stack.ended(job).progress
    assert (progress.listed, progress.stored + progress.unchanged) == (PHOTOS, PHOTOS)

    new = stack.gallery(20)
    stack.ended(stack.index(new))
    deleted = sorted(gallery.paths)[:30]
    persistently(lambda: stack.client.delete(gallery.name, ids=gallery.ids(deleted)))

    cluster.start(3)
    kept = gallery.paths - set(deleted)
    stack.check(gallery, kept)
    stack.check(new, new.paths)
    cluster.kill(2)
    for node in (1, 3):
        assert stack.paths_at(node, gallery) == kept
        assert stack.paths_at(node, new) == new.paths
    cluster.restore()
    stack.client.drop_gallery(new.name)


@pytest.mark.parametrize("node", [1, 3])
def test_a_node_is_killed_while_indexing(
    stack: Stack, gallery: Gallery, searching: _Search, node: int
) -> None:
    job = stack.index(gallery)
    stack.await_part(job, 0.25)
    with searching(gallery) as searches:
        stack.cluster.kill(node)
        stack.ended(job)
        searches.await_more(10)
        stack.cluster.start(node)
        stack.check(gallery, gallery.paths)


@pytest.mark.parametrize("node", [1, 3])
def test_a_node_is_killed_while_searching(
    stack: Stack, indexed: Gallery, searching: _Search, node: int
) -> None:
    with searching(indexed) as searches:
        searches.await_more(10)
        stack.cluster.kill(node)
        searches.await_more(30)
        stack.cluster.start(node)
        searches.await_more(10)
    stack.check(indexed, indexed.paths)


def test_a_node_is_killed_while_deleting(
    stack: Stack, indexed: Gallery, searching: _Search
) -> None:
    paths = sorted(indexed.paths)
    with searching(indexed):
        for number, some in enumerate(batched(paths[: PHOTOS // 2], 10)):
            if number == 3:
                stack.cluster.kill(3)
            ids = indexed.ids(some)
            persistently(lambda ids=ids: stack.client.delete(indexed.name, ids=ids))
        stack.cluster.start(3)
        stack.check(indexed, set(paths[PHOTOS // 2 :]))


def test_a_node_is_killed_while_another_encoder_takes_over(
    stack: Stack, indexed: Gallery, searching: _Search
) -> None:
    with stack.rig.newer_encoder(seconds=0.1), searching(indexed) as searches:
        job = stack.client.reindex(indexed.name, MODEL)
        stack.await_part(job, 0.25)
        stack.cluster.kill(3)
        last = stack.ended(job)
        assert "promoted" in last.outcome
        searches.await_more(10)
        stack.cluster.start(3)
        stack.check(indexed, indexed.paths)
        assert live_digests(stack, indexed) == {digest_of(2)}

        stack.cluster.kill(3)
        persistently(lambda: stack.client.roll_back(indexed.name, MODEL))
        stack.cluster.start(3)
        stack.check(indexed, indexed.paths)
        assert live_digests(stack, indexed) == {digest_of(1)}


def test_a_node_is_killed_while_importing(stack: Stack, indexed: Gallery, tmp_path: Path) -> None:
    settings = stack.rig.store_settings
    with closing(connect(settings)) as client:
        CollectionTransfer(client, settings, lambda *_: None).export(
            f"{indexed.name}__{MODEL}", tmp_path / "it.gz"
        )
        stack.client.drop_gallery(indexed.name)

        def report(what: str, _done: int, _total: int | None) -> None:
            if what == "points":
                stack.cluster.kill(3)

        importing = CollectionTransfer(client, settings, report)
        persistently(lambda: importing.import_(tmp_path / "it.gz"))
    stack.cluster.start(3)
    stack.check(indexed, indexed.paths)


def test_two_nodes_are_killed_and_a_job_waits_for_them(
    stack: Stack, gallery: Gallery, searching: _Search
) -> None:
    job = stack.index(gallery)
    stack.await_part(job, 0.25)
    with searching(gallery) as searches:
        for node in (2, 3):
            stack.cluster.kill(node)
        searches.await_more(5)
        eventually(lambda: "waiting" in stack.client.job(job.id).outcome, "the job waits")
        for node in (2, 3):
            stack.cluster.start(node)
        stack.ended(job)
        stack.check(gallery, gallery.paths)
    assert searches.failures.keys() <= {UnavailableError.__name__, DeadlineError.__name__}


def test_a_node_is_frozen_while_indexing(
    stack: Stack, gallery: Gallery, searching: _Search
) -> None:
    job = stack.index(gallery)
    stack.await_part(job, 0.25)
    with searching(gallery) as searches:
        stack.cluster.freeze(3)
        stack.ended(job)
        searches.await_more(10)
        stack.cluster.thaw(3)
        stack.check(gallery, gallery.paths)


def test_all_nodes_restart_while_indexing(
    stack: Stack, gallery: Gallery, searching: _Search
) -> None:
    job = stack.index(gallery)
    stack.await_part(job, 0.25)
    with searching(gallery) as searches:
        for node in NODES:
            stack.cluster.kill(node)
        searches.await_more(2)
        for node in NODES:
            stack.cluster.start(node)
        stack.ended(job)
        stack.check(gallery, gallery.paths)


def test_photos_that_change_while_a_node_is_away_are_the_new_ones_everywhere(
    stack: Stack, indexed: Gallery
) -> None:
    stack.cluster.kill(3)
    for number in range(PHOTOS // 4):
        draw_photo(indexed.folder / f"{number:03d}.png", PHOTOS + number)
    [progress] = stack.ended(stack.index(indexed)).progress
    assert (progress.stored, progress.unchanged) == (PHOTOS // 4, PHOTOS - PHOTOS // 4)
    stack.cluster.start(3)
    stack.check(indexed, indexed.paths)
    for node in NODES:
        for path, digest in stack.contents_at(node, indexed).items():
            assert digest == sha256((indexed.folder / path).read_bytes()).hexdigest()


def persistently(change: Callable[[], object]) -> None:
    """Do as the message of a change that is not acknowledged says: repeat it."""

    def done() -> bool:
        try:
            change()
        except (UnavailableError, DeadlineError):
            return False
        return True

    eventually(done, "the change is acknowledged")


def live_digests(stack: Stack, gallery: Gallery) -> set[str]:
    """Return the digests of the live collections, as all nodes see them."""
    stack.cluster.await_whole()
    found: set[str] = set()
    for node in NODES:
        with closing(stack.store_at(node)) as store:
            found.add(store.collections.live(gallery.name, MODEL).digest)
    return found
