"""Copies of a collection that can differ for good are refused when it is made, and named later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from qdrant_client import grpc as q
from typer.testing import CliRunner

from landmarks.errors import ConfigurationError, NotFoundError, UnavailableError
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.layout import acknowledgements_for, diverges
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks_tools.cli.app import app
from tests.support.scripted_qdrant import Failure, ScriptedQdrant, scripted_qdrant
from tests.support.stores import DIGEST, StoreUnderTest


@pytest.mark.parametrize(
    ("copies", "acknowledgements", "refused"),
    [
        (1, 1, False),
        (1, 2, False),  # there is one copy, which cannot differ from itself
        (2, 1, False),
        (2, 2, True),
        (2, 3, True),  # Qdrant requires no more than there are
        (3, 1, False),
        (3, 2, False),
        (3, 3, True),
    ],
)
def test_a_process_that_writes_refuses_such_settings(
    copies: int, acknowledgements: int, *, refused: bool
) -> None:
    assert diverges(copies, acknowledgements) == refused
    given: dict[str, object] = {
        "qdrant_replication_factor": copies,
        "qdrant_write_consistency_factor": acknowledgements,
    }
    if not refused:
        assert VectorStoreSettings.load(given).write_consistency == acknowledgements
        return
    with pytest.raises(ConfigurationError) as failed:
        VectorStoreSettings.load(given)
    assert f"LANDMARKS_QDRANT_WRITE_CONSISTENCY_FACTOR={acknowledgements}" in str(failed.value)
    assert "Require fewer" in str(failed.value)
    assert "keep more copies" in str(failed.value)


@pytest.mark.parametrize(("copies", "needed"), [(None, None), (1, 1), (2, 1), (3, 2), (5, 2)])
def test_what_is_not_set_follows_from_the_copies(copies: int | None, needed: int | None) -> None:
    settings = VectorStoreSettings.load({"qdrant_replication_factor": copies})
    assert settings.write_consistency == needed
    if copies:
        assert not diverges(copies, acknowledgements_for(copies))


@pytest.fixture
def scripted(embedded: StoreUnderTest) -> Iterator[ScriptedQdrant]:
    with scripted_qdrant(embedded.settings.qdrant_port) as script:
        yield script


@pytest.fixture
def behind(embedded: StoreUnderTest, scripted: ScriptedQdrant) -> Iterator[Collections]:
    """The collections of the embedded engine, through the script."""
    settings = VectorStoreSettings.load({"qdrant_port": scripted.port})
    with closing(connect(settings)) as client:
        yield Collections(client, settings)


def made_as(copies: int, acknowledgements: int, nodes: int = 3) -> dict[str, Callable]:
    """The answers of a cluster that made collections with this layout."""

    def of_collection(answer: bytes) -> bytes:
        message = q.GetCollectionInfoResponse.FromString(answer)
        message.result.config.params.replication_factor = copies
        message.result.config.params.write_consistency_factor = acknowledgements
        return message.SerializeToString()

    def of_shards(_request: bytes) -> bytes:
        answer = q.CollectionClusterInfoResponse(peer_id=1, shard_count=2)
        answer.local_shards.add(shard_id=0, state=q.Active)
        answer.local_shards.add(shard_id=1, state=q.Active)
        for peer in range(2, min(copies, nodes) + 1):
            answer.remote_shards.add(shard_id=0, peer_id=peer, state=q.Dead)
            answer.remote_shards.add(shard_id=1, peer_id=peer, state=q.Active)
        return answer.SerializeToString()

    return {"Collections/Get": of_collection, "Collections/CollectionClusterInfo": of_shards}


def use(script: ScriptedQdrant, answers: dict[str, Callable]) -> None:
    script.rewritten["Collections/Get"] = answers["Collections/Get"]
    cluster_info = "Collections/CollectionClusterInfo"
    script.answers[cluster_info] = answers[cluster_info]


@pytest.mark.integration
@pytest.mark.parametrize(("copies", "nodes"), [(2, 3), (3, 2)])
def test_a_collection_that_came_out_so_is_removed_and_refused(
    embedded: StoreUnderTest,
    scripted: ScriptedQdrant,
    behind: Collections,
    copies: int,
    nodes: int,
) -> None:
    """By the server's own defaults, or as the cluster has fewer nodes than copies."""
    use(scripted, made_as(copies, 2, nodes))
    with pytest.raises(ConfigurationError, match="It was removed") as failed:
        behind.to_write(embedded.gallery, "vgg16", DIGEST, 4)
    assert "keeps 2 copies" in str(failed.value)
    assert embedded.collections.states(embedded.gallery) == []


@pytest.mark.integration
@pytest.mark.parametrize(("copies", "acknowledgements"), [(1, 1), (2, 1), (3, 2)])
def test_a_collection_of_a_good_layout_is_used_and_not_named(
    embedded: StoreUnderTest,
    scripted: ScriptedQdrant,
    behind: Collections,
    copies: int,
    acknowledgements: int,
) -> None:
    use(scripted, made_as(copies, acknowledgements))
    behind.to_write(embedded.gallery, "vgg16", DIGEST, 4)
    [state] = behind.states(embedded.gallery)
    assert (state.live, state.unsafe_layout) == (True, "")


@pytest.mark.integration
async def test_one_that_exists_is_named_with_the_way_out(
    embedded: StoreUnderTest, scripted: ScriptedQdrant, behind: Collections
) -> None:
    name = embedded.collection().name
    use(scripted, made_as(2, 2))
    store = SearchStore(VectorStoreSettings.load({"qdrant_port": scripted.port}))
    [in_a_thread] = behind.states(embedded.gallery)
    [on_the_loop] = await store.states(embedded.gallery)
    await store.close()
    assert in_a_thread == on_the_loop
    assert f"landmarks collections --fix-layout {name}" in in_a_thread.unsafe_layout
    assert in_a_thread.problem == ""
    # It is written to all the same: its photos are better indexed than not.
    assert behind.to_write(embedded.gallery, "vgg16", DIGEST, 16).name == name


@pytest.mark.integration
def test_one_that_another_attempt_left_half_made_is_not_made_live(
    embedded: StoreUnderTest, scripted: ScriptedQdrant, behind: Collections
) -> None:
    use(scripted, made_as(2, 2))
    scripted.failures["Collections/Create"] = Failure(
        "Waiting for consensus operation commit failed. Timeout set at: 10 seconds", after=True
    )
    with pytest.raises(UnavailableError):
        behind.to_write(embedded.gallery, "vgg16", DIGEST, 4)
    for _ in range(2):  # it may have points, so that it is not removed
        with pytest.raises(ConfigurationError, match="--fix-layout"):
            behind.to_write(embedded.gallery, "vgg16", DIGEST, 4)
    use(scripted, made_as(2, 1))
    assert behind.to_write(embedded.gallery, "vgg16", DIGEST, 4)


@pytest.mark.integration
def test_a_layout_is_fixed_in_place(
    embedded: StoreUnderTest, scripted: ScriptedQdrant, behind: Collections
) -> None:
    name = embedded.collection().name
    asked: list[q.UpdateCollection] = []

    def update(request: bytes) -> bytes:
        asked.append(q.UpdateCollection.FromString(request))
        return q.CollectionOperationResponse(result=True).SerializeToString()

    scripted.answers["Collections/Update"] = update
    for copies, needed, fixed in ((2, 2, 1), (3, 3, 2), (3, 2, 2), (2, 1, 1)):
        use(scripted, made_as(copies, needed))
        asked.clear()
        assert behind.fix_layout(name) == fixed
        assert [one.params.write_consistency_factor for one in asked] == (
            [fixed] if fixed != needed else []
        )


@pytest.mark.integration
def test_the_command_fixes_it_at_qdrant_itself(
    embedded: StoreUnderTest, scripted: ScriptedQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = embedded.collection().name
    use(scripted, made_as(2, 2))
    done = q.CollectionOperationResponse(result=True).SerializeToString()
    scripted.answers["Collections/Update"] = lambda _request: done
    monkeypatch.setenv("LANDMARKS_QDRANT_PORT", str(scripted.port))
    result = CliRunner().invoke(app, ["collections", "--fix-layout", name])
    assert result.exit_code == 0, result.output
    assert f"{name}: 1 of its copies must confirm" in " ".join(result.stdout.split())
    unknown = f"{embedded.gallery}__other__00000000"
    result = CliRunner().invoke(app, ["collections", "--fix-layout", unknown])
    assert isinstance(result.exception, NotFoundError)
