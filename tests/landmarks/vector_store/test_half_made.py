"""What an attempt leaves half made is finished by the next, wherever it was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from landmarks.errors import UnavailableError
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.export import CollectionTransfer
from landmarks.vector_store.marks import GENERATION, MARK
from landmarks.vector_store.payload_indexes import INDEXED_FIELDS
from landmarks.vector_store.points import Point
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.scripted_qdrant import Failure, ScriptedQdrant, scripted_qdrant
from tests.support.stores import DIGEST, DIMENSION, StoreUnderTest, photo, photo_id, unit_rows

pytestmark = pytest.mark.integration

# As a cluster of 1.18.3 says it: the operation may be carried out later.
NO_MAJORITY = (
    "Service internal error: Waiting for consensus operation commit failed. Timeout set at: 10"
    " seconds"
)
SHARD_AWAY = (
    "Service internal error: 4 out of 6 shards failed to apply operation. First error captured:"
    " Service internal error: Tonic status error: code: 'The service is currently unavailable',"
    ' message: "tcp connect error"'
)
USUAL = {*INDEXED_FIELDS, GENERATION, MARK}

CREATE, INDEX, ALIASES = (
    "Collections/Create",
    "Points/CreateFieldIndex",
    "Collections/UpdateAliases",
)
INTERRUPTIONS = [
    ("Collections/ListAliases", Failure(NO_MAJORITY)),
    ("Collections/CollectionExists", Failure(NO_MAJORITY)),
    (CREATE, Failure(NO_MAJORITY)),
    (CREATE, Failure(NO_MAJORITY, after=True)),
    ("Collections/Get", Failure(SHARD_AWAY)),
    ("Collections/Get", Failure("Not found: Collection", code=grpc.StatusCode.NOT_FOUND, skip=1)),
    (INDEX, Failure(SHARD_AWAY)),
    (INDEX, Failure(SHARD_AWAY, after=True)),
    (INDEX, Failure(SHARD_AWAY, skip=len(USUAL) - 1)),
    (ALIASES, Failure(NO_MAJORITY)),
    (ALIASES, Failure(NO_MAJORITY, after=True)),
]


@pytest.fixture
def scripted(embedded: StoreUnderTest) -> Iterator[ScriptedQdrant]:
    with scripted_qdrant(embedded.settings.qdrant_port) as script:
        yield script


@pytest.fixture
def behind(embedded: StoreUnderTest, scripted: ScriptedQdrant) -> Iterator[StoreUnderTest]:
    """The embedded engine, through the script."""
    settings = VectorStoreSettings.load({"qdrant_port": scripted.port})
    with closing(connect(settings)) as client:
        yield StoreUnderTest("scripted", client, settings, embedded.gallery)


def indexed(engine: StoreUnderTest, name: str) -> set[str]:
    return set(engine.client.get_collection(name).payload_schema)


@pytest.mark.parametrize(("method", "failure"), INTERRUPTIONS)
def test_a_gallery_whose_creation_was_interrupted_is_whole_after_the_next_attempt(
    scripted: ScriptedQdrant, behind: StoreUnderTest, method: str, failure: Failure
) -> None:
    scripted.failures[method] = Failure(**vars(failure))
    with pytest.raises(UnavailableError):
        behind.collection()
    lineage = behind.collection()
    assert scripted.failures[method].times == 0
    [state] = behind.collections.states(behind.gallery)
    assert (state.lineage, state.live) == (lineage, True)
    assert indexed(behind, lineage.name) == USUAL


@pytest.mark.parametrize(
    ("method", "failure"), [one for one in INTERRUPTIONS if one[0] in (CREATE, INDEX)]
)
def test_a_re_embedding_whose_creation_was_interrupted_is_too(
    scripted: ScriptedQdrant, behind: StoreUnderTest, method: str, failure: Failure
) -> None:
    live = behind.collection()
    scripted.failures[method] = Failure(**vars(failure))

    def make() -> str:
        return behind.collections.create_beside(behind.gallery, "vgg16", "cd" * 32, 8).name

    with pytest.raises(UnavailableError):
        make()
    assert indexed(behind, make()) == USUAL
    assert behind.collections.live(behind.gallery, "vgg16") == live


@pytest.mark.parametrize(("method", "failure"), INTERRUPTIONS)
def test_an_import_that_was_interrupted_is_whole_when_it_is_repeated(
    embedded: StoreUnderTest,
    scripted: ScriptedQdrant,
    behind: StoreUnderTest,
    tmp_path: Path,
    method: str,
    failure: Failure,
) -> None:
    made = embedded.collection()
    rows = unit_rows(3)
    embedded.points.upsert(
        made.name, [Point(photo_id(n), rows[n], photo(n).to_payload()) for n in range(3)]
    )
    for path in USUAL - {"landmark"}:  # as one that an early release has exported
        embedded.client.delete_payload_index(made.name, path)
    reported = lambda *_: None  # noqa: E731
    file = tmp_path / "it.gz"
    CollectionTransfer(embedded.client, embedded.settings, reported).export(made.name, file)
    embedded.collections.drop(made.name, live_too=True)

    transfer = CollectionTransfer(behind.client, behind.settings, reported)
    scripted.failures[method] = Failure(**vars(failure))
    try:
        came = transfer.import_(file)
    except UnavailableError:
        came = transfer.import_(file)
    assert scripted.failures[method].times == 0
    assert (came.points, came.live) == (3, True)
    assert indexed(behind, came.collection) == USUAL
    assert (
        Collections(embedded.client, embedded.settings).live(behind.gallery, "vgg16").dimension
        == DIMENSION
    )
    assert embedded.points.count(came.collection) == 3
    assert came.collection.endswith(DIGEST[:8])
