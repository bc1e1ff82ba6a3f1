"""Points whose payloads are so large that few of them fit a message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from landmarks.errors import TooLargeError
from landmarks.rpc import channel
from landmarks.vector_store.client import connect
from landmarks.vector_store.export import CollectionTransfer
from landmarks.vector_store.points import Point
from tests.support.stores import StoreUnderTest, photo, photo_id, unit_rows

pytestmark = pytest.mark.integration

COUNT = 40
NOTES = 100_000  # of one point; a message may have ten times as much


@pytest.fixture
def narrow(
    wire_engine: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StoreUnderTest]:
    """An engine behind a connection whose messages have a megabyte at most."""
    monkeypatch.setattr(channel, "MAX_MESSAGE_BYTES", 10 * NOTES)
    client = connect(wire_engine.settings)
    yield replace(wire_engine, client=client)
    client.close()


def fill(engine: StoreUnderTest, size: int = NOTES) -> str:
    name = engine.collection().name
    rows = unit_rows(COUNT)
    for n in range(COUNT):
        payload = {**photo(n).to_payload(), "notes": f"{n} " * (size // 3)}
        engine.points.upsert(name, [Point(photo_id(n), rows[n], payload)])
    return name


def test_reading_many_points_reads_them_in_parts(narrow: StoreUnderTest) -> None:
    name = fill(narrow)
    ids = [photo_id(n) for n in range(COUNT)]
    assert {point.id for point in narrow.points.scan(name)} == set(ids)
    found = narrow.points.payloads(name, ids)
    assert {id_: str(one["notes"]).split()[0] for id_, one in found.items()} == {
        photo_id(n): str(n) for n in range(COUNT)
    }


def test_such_a_collection_is_exported_and_imported(narrow: StoreUnderTest, tmp_path: Path) -> None:
    name = fill(narrow)
    before = {point.id: point.payload for point in narrow.points.scan(name)}
    seen: list[int] = []
    transfer = CollectionTransfer(
        narrow.client, narrow.settings, lambda what, done, _: seen.append(done) if what else None
    )
    done = transfer.export(name, tmp_path / "it.gz")
    assert (done.points, done.changed) == (COUNT, False)
    narrow.collections.drop(name, live_too=True)
    came = transfer.import_(tmp_path / "it.gz")
    assert (came.points, came.written) == (COUNT, COUNT)
    assert {point.id: point.payload for point in narrow.points.scan(name)} == before
    assert seen.count(COUNT) >= 2


def test_a_point_that_fits_no_message_by_itself_is_an_error_that_says_so(
    wire_engine: StoreUnderTest, narrow: StoreUnderTest
) -> None:
    name = fill(wire_engine, 11 * NOTES)
    with pytest.raises(TooLargeError, match="the answer is too large: "):
        list(narrow.points.scan(name))
