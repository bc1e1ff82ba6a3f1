"""Claims, fenced writes, and marks that no read shows, on every engine."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from landmarks.errors import NotFoundError
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.export import CollectionTransfer
from landmarks.vector_store.export_format import check_export, read_points
from landmarks.vector_store.filters import AnyOf, Equals, Filter
from landmarks.vector_store.marks import CLAIM, MARK, Claim, Mark, Seen
from landmarks.vector_store.points import FloatVector, Point
from landmarks.vector_store.queries import Query
from tests.support.stores import StoreUnderTest, photo, photo_id, unit_rows

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")

_Stored = Callable[[StoreUnderTest, int], tuple[str, FloatVector]]
PAYLOADS = {photo_id(n): photo(n).to_payload() for n in range(20)}
IDS = list(PAYLOADS)


def claim_of(engine: StoreUnderTest, name: str, generation: int, ids) -> tuple[Claim, set]:
    """Claim points as they are now."""
    claim = Claim(generation, f"job|work|{generation}")
    planned = {one: PAYLOADS[one] for one in ids}
    return claim, engine.writes.claim(name, claim, engine.writes.seen(name, ids), planned)


def test_a_write_changes_only_what_is_claimed_for_it(engine: StoreUnderTest, stored: _Stored):
    name, _ = stored(engine, 4)
    claim, lost = claim_of(engine, name, 5, IDS[:6])  # two of them do not exist yet
    assert not lost
    fresh = unit_rows(7, seed=3)
    points = [Point(IDS[n], fresh[n], {"path": "fenced"}) for n in (0, 4, 6)]
    engine.writes.write(name, claim, points, {IDS[1]: {"only": 1}, IDS[7]: {"only": 2}})

    found = engine.points.payloads(name, IDS)
    assert found[IDS[0]] == found[IDS[4]] == {"path": "fenced"}
    assert found[IDS[1]] == {"only": 1}
    assert found[IDS[2]] == PAYLOADS[IDS[2]], "what is claimed is read as it was"
    assert set(found) == {IDS[n] for n in (0, 1, 2, 3, 4)}, "nothing was added but what was claimed"
    seen = engine.writes.seen(name, IDS)
    assert [seen[IDS[n]].generation for n in (0, 1, 2, 4)] == [5, 5, 0, 5]
    best = engine.points.query(name, [Query(fresh[4], limit=1)])[0][0]
    assert (best.id, dict(best.payload)) == (IDS[4], {"path": "fenced"})


def test_no_write_brings_a_deleted_photo_back(engine: StoreUnderTest, stored: _Stored):
    name, rows = stored(engine, 4)
    claim, _ = claim_of(engine, name, 5, IDS[:6])
    engine.writes.delete(name, 6, IDS[:1])
    assert engine.writes.delete_where(name, 7, Filter(must=(Equals("path", "1.jpg"),))) == 1
    assert engine.writes.delete_where(name, 8, Filter(must=(Equals("path", "4.jpg"),))) == 0
    points = [Point(one, rows[0], PAYLOADS[one]) for one in IDS[:6]]
    engine.writes.write(name, claim, points, {})
    assert set(engine.points.payloads(name, IDS)) == {IDS[2], IDS[3], IDS[5]}
    assert engine.writes.refused(name, claim, IDS[:6]) == set()
    assert engine.writes.delete_source(name, 9, "photos") == 2  # 3 and 5
    assert engine.points.count(name) == 1


def test_only_what_is_as_it_was_seen_can_be_claimed(engine: StoreUnderTest, stored: _Stored):
    name, _ = stored(engine, 3)
    seen = engine.writes.seen(name, IDS[:4])
    first, lost = claim_of(engine, name, 5, IDS[1:4])
    assert not lost
    second = Claim(6, "other|work|1")
    assert engine.writes.claim(name, second, seen, {one: {} for one in IDS[:4]}) == set(IDS[1:4])
    engine.writes.write(name, first, [], {IDS[1]: {"first": 1}})
    engine.writes.write(name, second, [], {IDS[1]: {"second": 1}, IDS[0]: {"second": 1}})
    assert engine.points.payloads(name, IDS[:2]) == {IDS[0]: {"second": 1}, IDS[1]: {"first": 1}}
    engine.writes.release(name, {IDS[2]: first, IDS[3]: first})
    engine.writes.write(name, first, [], {IDS[2]: {"first": 2}, IDS[3]: {"first": 2}})
    assert engine.writes.refused(name, first, IDS[1:4]) == {IDS[2], IDS[3]}


def test_a_deletion_leaves_what_is_newer(engine: StoreUnderTest, stored: _Stored):
    name, _ = stored(engine, 3)
    claim, _ = claim_of(engine, name, 5, IDS[:2])
    engine.writes.write(name, claim, [], {IDS[0]: {"new": 1}})
    engine.writes.delete(name, 4, IDS[:3])
    assert set(engine.points.payloads(name, IDS)) == {IDS[0], IDS[1]}
    claim_of(engine, name, 9, IDS[2:3])  # a photo whose mark is there is claimed, too
    engine.writes.delete_claimed(name, claim, IDS[:3])
    assert set(engine.points.payloads(name, IDS)) == {IDS[0]}


def test_no_read_shows_a_mark(wire_engine: StoreUnderTest, stored: _Stored):
    engine = wire_engine
    name, rows = stored(engine, 10)
    engine.writes.delete(name, 5, IDS[:2])
    claim_of(engine, name, 6, IDS[10:13])
    raw = engine.client.scroll(name, limit=100)[0]
    assert sum(MARK in point.payload for point in raw) == 5

    everything = set(IDS[2:10])
    assert {one.id for one in engine.points.scan(name)} == everything
    assert {one.id for one in engine.points.scan(name, fields=[])} == everything
    assert set(engine.points.payloads(name, IDS)) == everything
    assert set(engine.points.vectors(name, IDS)) == everything
    nothing = Filter(must_not=(Equals("path", "none"),))
    for exact in (True, False):
        queries = [Query(rows[0], limit=50, exact=exact, filter=f) for f in (Filter(), nothing)]
        for hits in engine.points.query(name, queries):
            assert {one.id for one in hits} == everything
    two = Filter(must_not=(AnyOf("path", ("2.jpg", "3.jpg")),))
    assert [engine.points.count(name, one) for one in (Filter(), nothing, two)] == [8, 8, 6]
    facet = engine.points.facet(name, "landmark")
    expected = {
        str(p["landmark"]) for one, p in PAYLOADS.items() if one in everything and "landmark" in p
    }
    assert {one.value for one in facet} == expected
    [state] = engine.collections.states(engine.gallery)
    assert state.points == 8

    async def searched() -> None:
        store = SearchStore(engine.settings)
        [live] = await store.live_of(engine.gallery)
        assert {"landmark", "path"} <= live.value_fields
        assert {CLAIM, MARK, "generation"}.isdisjoint(live.value_fields)
        assert [await store.count(name, one) for one in (Filter(), nothing)] == [8, 8]
        assert (await store.states(engine.gallery))[0].points == 8
        assert set(await store.payloads(name, IDS)) == everything
        for gone in (IDS[0], IDS[10]):
            with pytest.raises(NotFoundError):
                await store.point(name, gone)
        [hits] = await store.query(name, [Query(rows[5], limit=50)])
        assert {one.id for one in hits} == everything
        for hit in hits:
            assert dict(hit.payload) == PAYLOADS[hit.id]
        await store.close()

    asyncio.run(searched())


def test_marks_are_removed_once_they_are_old(engine: StoreUnderTest, stored: _Stored):
    name, _ = stored(engine, 4)
    engine.writes.delete(name, 5, IDS[:1])
    claim_of(engine, name, 6, IDS[4:5])
    engine.writes.delete(name, 7, IDS[1:2])
    engine.writes.sweep(name, 5)
    assert set(engine.writes.seen(name, IDS)) == set(IDS[:5])
    engine.writes.sweep(name, 7)
    assert engine.writes.seen(name, IDS) == {
        **dict.fromkeys(IDS[2:4], Seen()),
        IDS[1]: Seen(7, None, Mark.DELETED),
    }


@pytest.mark.integration
def test_an_export_has_neither_marks_nor_generations(
    wire_engine: StoreUnderTest, stored: _Stored, tmp_path: Path
):
    engine = wire_engine
    name, _ = stored(engine, 6)
    claim, _ = claim_of(engine, name, 5, IDS[:2])
    engine.writes.write(name, claim, [], {IDS[0]: PAYLOADS[IDS[0]]})
    engine.writes.delete(name, 6, IDS[4:6])
    claim_of(engine, name, 7, IDS[10:12])
    file = tmp_path / "it.gz"
    result = CollectionTransfer(engine.client, engine.settings, lambda *_: None).export(name, file)
    header, count = check_export(file)
    assert (result.points, result.changed, count) == (4, False, 4)
    exported = {UUID(str(one.id)): dict(one.payload) for one in read_points(file, header)}
    assert exported == {one: PAYLOADS[one] for one in IDS[:4]}


def test_what_one_copy_says_of_points_in_doubt_is_written_to_all(
    engine: StoreUnderTest, stored: _Stored
):
    name, rows = stored(engine, 4)
    engine.writes.delete(name, 5, IDS[:1])
    claim_of(engine, name, 6, IDS[1:2])
    engine.writes.delete(name, 9, IDS[2:3])
    doubtful = [*IDS[:3], IDS[5]]  # the last does not exist
    claim = Claim(10, "job|work|10")
    for _ in range(2):
        engine.writes.settle_claim(name, claim, doubtful, newest=8)
    states = engine.writes.seen(name, doubtful)
    assert [states[one].claim == claim for one in doubtful] == [True, True, False, True]
    points = engine.writes.settled(name, claim, doubtful)
    for _ in range(2):
        engine.writes.write_back(name, claim, points)
    assert engine.writes.seen(name, IDS) == {
        IDS[0]: Seen(10, None, Mark.DELETED),
        IDS[1]: Seen(),
        IDS[2]: Seen(9, None, Mark.DELETED),
        IDS[3]: Seen(),
        IDS[5]: Seen(10, None, Mark.DELETED),
    }
    assert engine.points.payloads(name, IDS) == {one: PAYLOADS[one] for one in (IDS[1], IDS[3])}
    assert engine.points.vectors(name, IDS[1:2])[IDS[1]] == pytest.approx(rows[1], abs=1e-6)


def test_points_in_doubt_are_written_back_only_while_they_are_claimed(
    engine: StoreUnderTest, stored: _Stored
):
    name, _ = stored(engine, 2)
    claim = Claim(10, "job|work|10")
    engine.writes.settle_claim(name, claim, IDS[:2], newest=8)
    points = engine.writes.settled(name, claim, IDS[:2])
    engine.writes.delete(name, 11, IDS[:1])
    engine.writes.write_back(name, claim, points)
    assert set(engine.points.payloads(name, IDS)) == {IDS[1]}


def test_a_deletion_is_known_where_the_point_was_missing(engine: StoreUnderTest, stored: _Stored):
    name, _ = stored(engine, 2)
    engine.writes.delete(name, 5, IDS[:3])
    late = Claim(4, "job|work|4")
    assert engine.writes.claim(name, late, {}, {IDS[2]: PAYLOADS[IDS[2]]}) == {IDS[2]}
    assert engine.points.payloads(name, IDS) == {}


def test_a_mark_that_a_sweep_removes_from_other_copies_is_claimed(
    engine: StoreUnderTest, stored: _Stored
):
    name, rows = stored(engine, 2)
    engine.writes.delete(name, 5, IDS[:2])
    planned = {IDS[0]: PAYLOADS[IDS[0]]}
    young, old = (Claim(20, "job|work|20"), Claim(21, "job|work|21"))
    assert engine.writes.claim(name, young, {}, planned, swept_before=5) == {IDS[0]}
    assert engine.writes.claim(name, old, {}, planned, swept_before=6) == set()
    engine.writes.write(name, old, [Point(IDS[0], rows[0], PAYLOADS[IDS[0]])], {})
    assert engine.points.payloads(name, IDS) == {IDS[0]: PAYLOADS[IDS[0]]}


def test_a_mark_that_is_missing_from_other_copies_is_claimed(
    engine: StoreUnderTest, stored: _Stored
):
    name, rows = stored(engine, 2)
    claim = Claim(20, "job|work|20")
    seen = {IDS[2]: Seen(5, None, Mark.DELETED)}  # as the copy that was read had it
    assert engine.writes.claim(name, claim, seen, {IDS[2]: PAYLOADS[IDS[2]]}) == set()
    engine.writes.write(name, claim, [Point(IDS[2], rows[0], PAYLOADS[IDS[2]])], {})
    assert IDS[2] in engine.points.payloads(name, IDS)
