"""Searches whose answers would be larger than a message may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from landmarks.client import AsyncLandmarks, Search
from landmarks.errors import InvalidInputError
from landmarks.rpc import channel
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import Point, point_id
from search_service.search import servicer
from tests.support.search_encoder import MODELS, digest_of
from tests.support.search_stack import Qdrant, Stack, stack_running
from tests.support.stores import unit_rows

pytestmark = pytest.mark.integration

GALLERY, MODEL, LIMIT = "wordy", "thumbnail", 1_000_000
IDS = [str(point_id(GALLERY, "test", str(n))) for n in range(30)]


@pytest.fixture(scope="module")
def wordy(qdrant: Qdrant) -> Iterator[Qdrant]:
    client = connect(qdrant.settings)
    collections, store = Collections(client, qdrant.settings), PointStore(client, qdrant.settings)
    dimension = MODELS[MODEL][0]
    made = collections.create_beside(GALLERY, MODEL, digest_of(MODEL, 1), dimension)
    rows = unit_rows(len(IDS), dimension)
    payload = {"uri": "file:///x", "source": "test", "landmark": "A", "notes": "x" * 60_000}
    points = [
        Point(point_id(GALLERY, "test", str(n)), row, {**payload, "path": str(n)})
        for n, row in enumerate(rows)
    ]
    store.upsert(made.name, points)
    collections.promote(made.name)
    yield qdrant
    collections.drop(made.name, live_too=True)
    client.close()


@pytest.mark.parametrize(
    ("limit", "batch"), [(12, 1), (29, 1), (5, 2)], ids=["the answer", "the payloads", "a batch"]
)
async def test_an_answer_over_the_limit_is_named_with_the_limit_and_the_remedy(
    wordy: Qdrant, monkeypatch: pytest.MonkeyPatch, limit: int, batch: int
) -> None:
    monkeypatch.setattr(channel, "MAX_MESSAGE_BYTES", LIMIT)
    monkeypatch.setattr(servicer, "MAX_MESSAGE_BYTES", LIMIT)
    async with stack_running(wordy.settings) as stack, _client(stack) as client:
        assert len((await client.search(gallery=GALLERY, point_id=IDS[0], limit=5)).fused) == 5
        searches = [Search(gallery=GALLERY, point_id=one, limit=limit) for one in IDS[:batch]]
        asked = client.search(**searches[0]) if batch == 1 else client.batch_search(searches)
        with pytest.raises(InvalidInputError) as refused:
            await asked
    assert refused.value.field == "limit"
    for words in ("the answer is too large", "1,000,000", "fewer hits"):
        assert words in str(refused.value)


def _client(stack: Stack) -> AsyncLandmarks:
    return AsyncLandmarks(stack.target)
