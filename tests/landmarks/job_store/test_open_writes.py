"""Writes that are noted until they are acknowledged, in a real Valkey."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from landmarks.job_store.open_writes import OpenWrite, OpenWrites
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.store import JobStore
from tests.support.valkey import Valkey

pytestmark = pytest.mark.integration

# Their bytes look like the separators of what is stored with them.
IDS = [UUID(bytes=b"\n" * 16), UUID(bytes=b"|" * 16), uuid4()]


@pytest.fixture
def open_writes(valkey: Valkey) -> OpenWrites:
    with valkey.client() as client:
        client.flushall()
    return OpenWrites(connect_redis(valkey.url), valkey.url)


def begun(open_writes: OpenWrites, collection: str, ids: list[UUID], **more: object) -> OpenWrite:
    write = open_writes.begin(collection, str(more.pop("holder", "holder")), ids, **more)
    assert write is not None
    return write


def test_a_write_is_found_until_it_is_closed(open_writes: OpenWrites):
    first = begun(open_writes, "one", IDS[1:], holder="job|a/0|1")
    second = begun(open_writes, "one", IDS[:1], holder='job|"quoted"\n|2')
    other = begun(open_writes, "two", IDS)
    assert first.generation < second.generation < other.generation
    assert open_writes.find("one") == [first, second]
    assert open_writes.collections() == ["one", "two"]
    open_writes.close(first)
    open_writes.close(first)
    assert open_writes.find("one") == [second]
    open_writes.close(second)
    assert open_writes.find("one") == []
    assert open_writes.collections() == ["two"]


def test_its_generation_is_above_what_was_seen_and_every_other(
    open_writes: OpenWrites, valkey: Valkey
):
    jobs = JobStore(connect_redis(valkey.url), valkey.url)
    before = jobs.next_generation()
    seen = before + 10**9
    write = begun(open_writes, "one", IDS, seen=seen)
    assert write.generation > seen
    assert jobs.next_generation() > write.generation


@pytest.mark.parametrize("shared", IDS)
def test_no_second_write_to_a_point_is_noted(open_writes: OpenWrites, shared: UUID):
    first = begun(open_writes, "one", IDS)
    assert open_writes.begin("one", "", [uuid4(), shared, uuid4()]) is None
    assert open_writes.find("one") == [first]
    apart = begun(open_writes, "one", [uuid4(), UUID(bytes=shared.bytes[8:] + b"12345678")])
    open_writes.close(first)
    again = begun(open_writes, "one", [shared])
    assert open_writes.find("one") == [apart, again]


def test_a_deletion_is_noted_though_its_points_are_written_and_keeps_later_writes_out(
    open_writes: OpenWrites,
):
    write = begun(open_writes, "one", IDS)
    deletion = open_writes.begin_deletion("one", "holder", IDS[:1])
    assert open_writes.find("one") == [write, deletion]
    open_writes.close(write)
    assert open_writes.begin("one", "", IDS) is None
    assert open_writes.begin_deletion("one", "holder", IDS).generation > deletion.generation


def test_one_write_takes_the_place_of_others(open_writes: OpenWrites):
    first, second = (begun(open_writes, "one", [one]) for one in IDS[:2])
    kept = begun(open_writes, "one", IDS[2:])
    assert open_writes.begin("one", "", IDS, instead_of=[first, second]) is None
    both = begun(open_writes, "one", IDS[:2], instead_of=[first, second])
    assert open_writes.find("one") == [kept, both]
    late = open_writes.begin("one", "", IDS[:1], instead_of=[first])
    assert late is None, "another was first to take its place"


def test_a_write_that_is_noted_again_is_one(open_writes: OpenWrites):
    first = begun(open_writes, "one", IDS, name="mine")
    again = begun(open_writes, "one", IDS, name="mine")
    assert again.generation > first.generation
    assert open_writes.find("one") == [again]
    deletion = replace(again, name="other", deletes=True)
    for _ in range(2):
        open_writes.keep(deletion)
        open_writes.keep(again)
    assert sorted(open_writes.find("one"), key=lambda one: one.name) == [again, deletion]
