"""Photos that are kept and not shown, on every engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from landmarks.vector_store.export import CollectionTransfer
from landmarks.vector_store.filters import EVERYTHING, Equals, Filter
from landmarks.vector_store.held_photos import HeldPhoto, HeldPhotos
from landmarks.vector_store.marks import Claim
from landmarks.vector_store.points import FloatVector, PhotoPayload, Point
from landmarks.vector_store.queries import Query
from landmarks.vector_store.said import SAID_FIELDS, Said
from tests.support.stores import StoreUnderTest, photo, photo_id

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")

_Stored = Callable[[StoreUnderTest, int], tuple[str, FloatVector]]
IDS = [photo_id(number) for number in range(8)]


def held_by(engine: StoreUnderTest) -> HeldPhotos:
    return HeldPhotos(engine.client, engine.settings)


def change(
    engine: StoreUnderTest, name: str, generation: int, shown: bool, ids: list[UUID], **said: object
) -> dict[UUID, HeldPhoto]:
    """Say something of photos, and show them or not; return them as they were."""
    held = held_by(engine)
    before = held.read(name, ids, with_vectors=True)
    payloads = {one: PhotoPayload.from_payload(photo.payload) for one, photo in before.items()}
    what = Said(at=generation, taken_out=not shown, **said)
    after = {
        one: replace(photo, shown=shown, payload=replace(payloads[one], said=what).to_payload())
        for one, photo in before.items()
    }
    held.replace(name, generation, before, after)
    return before


def test_a_photo_that_is_kept_is_in_no_answer_and_comes_back_as_it_was(
    engine: StoreUnderTest, stored: _Stored
):
    name, rows = stored(engine, 6)
    before = change(engine, name, 5, False, IDS[:2])
    assert engine.points.count(name) == 4
    assert engine.points.count(name, Filter(must_not=(Equals("landmark", "x"),))) == 4
    assert engine.points.count(name, Filter(must=(Equals("sha256", photo(1).sha256),))) == 0
    assert set(engine.points.payloads(name, IDS)) == set(IDS[2:6])
    assert {one.id for one in engine.points.scan(name)} == set(IDS[2:6])
    [hits] = engine.points.query(name, [Query(rows[0], limit=10)])
    assert {hit.id for hit in hits} == set(IDS[2:6])
    held = held_by(engine)
    assert {one.id for one in held.kept(name)} == set(IDS[:2])
    found = held.of_bytes(name, [photo(n).sha256 for n in (1, 2)])
    assert {(one.id, one.shown) for one in found} == {(IDS[1], False), (IDS[2], True)}
    engine.writes.sweep(name, 100)
    assert engine.writes.delete_where(name, 6, Filter(must_not=(Equals("landmark", "x"),))) == 4
    assert {one.id for one in held.kept(name)} == set(IDS[:2])

    change(engine, name, 7, True, IDS[:2])

    again = held.read(name, IDS[:2], with_vectors=True)
    for one in IDS[:2]:
        assert again[one].shown
        # The reference engine makes each vector's length 1 again.
        assert np.allclose(again[one].vector, before[one].vector, atol=1e-6)
        mine = {k: v for k, v in again[one].payload.items() if k not in SAID_FIELDS}
        assert mine == before[one].payload
    assert engine.points.query(name, [Query(rows[1], limit=1)])[0][0].id == IDS[1]


def test_what_a_person_says_is_lost_to_no_write_that_began_before(
    engine: StoreUnderTest, stored: _Stored
):
    name, rows = stored(engine, 4)
    claim = Claim(5, "job|work|5")
    payloads = {one: photo(n).to_payload() for n, one in enumerate(IDS[:4])}
    assert not engine.writes.claim(name, claim, engine.writes.seen(name, IDS[:4]), payloads)
    change(engine, name, 6, True, IDS[:1], landmark="by hand")
    change(engine, name, 7, False, IDS[1:2])
    points = [Point(one, rows[n], payloads[one]) for n, one in enumerate(IDS[:3])]
    engine.writes.write(name, claim, points, {IDS[3]: {"path": "new"}})
    assert engine.points.payloads(name, IDS[:1])[IDS[0]]["landmark"] == "by hand"
    assert set(engine.points.payloads(name, IDS)) == {IDS[0], IDS[2], IDS[3]}
    assert engine.writes.refused(name, claim, IDS[:4]) == set()

    # And one that began later is not undone.
    before = held_by(engine).read(name, IDS[2:3], with_vectors=True)
    later = Claim(9, "job|work|9")
    engine.writes.claim(name, later, engine.writes.seen(name, IDS[2:3]), payloads)
    held_by(engine).replace(name, 8, before, {IDS[2]: replace(before[IDS[2]], shown=False)})
    engine.writes.write(name, later, points[2:], {})
    assert IDS[2] in engine.points.payloads(name, IDS)


@pytest.mark.integration
def test_what_is_kept_and_said_is_exported_and_imported(
    wire_engine: StoreUnderTest, stored: _Stored, tmp_path: Path
):
    engine = wire_engine
    name, _ = stored(engine, 4)
    change(engine, name, 5, True, IDS[:1], landmark="by hand", refused=("other",))
    before = change(engine, name, 6, False, IDS[1:2])
    transfer = CollectionTransfer(engine.client, engine.settings, lambda *_: None)
    exported = transfer.export(name, tmp_path / "a.gz")
    assert (exported.points, exported.changed) == (4, False)
    engine.collections.drop(name, live_too=True)
    imported = transfer.import_(tmp_path / "a.gz")
    assert imported.points == 4
    assert engine.points.count(imported.collection, EVERYTHING) == 3
    payload = engine.points.payloads(imported.collection, IDS)[IDS[0]]
    assert PhotoPayload.from_payload(payload).said == Said("by hand", ("other",), at=5)
    assert payload["source_landmark"] == photo(0).landmark if photo(0).landmark else True
    change(engine, imported.collection, 7, True, IDS[1:2])
    again = held_by(engine).read(imported.collection, IDS[1:2], with_vectors=True)[IDS[1]]
    assert again.shown
    assert np.array_equal(again.vector, before[IDS[1]].vector)
