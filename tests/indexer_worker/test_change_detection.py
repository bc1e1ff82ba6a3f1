"""Which photos need encoding, and how a source is listed in chunks: plain values."""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer_worker.change_detection import (
    Action,
    Inside,
    SourcePhoto,
    decide,
    known_of,
    payload_of,
    payload_version,
)
from indexer_worker.listing import checked, marked, without
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.batched import batched
from landmarks.encoders.limits import request_limits
from landmarks.errors import InvalidInputError
from landmarks.job_store.spec import IndexSpec, checked_spec
from landmarks.photos.entry import Entry
from landmarks.photos.metadata.read import FactsWanted
from landmarks.rpc.channel import MAX_MESSAGE_BYTES
from landmarks.vector_store.points import point_id

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 1, tzinfo=UTC)
INSIDE = Inside({"camera": "Canon", "taken": "2024-05-01T12:00:00Z", "taken_zone": "unknown"}, "1")
ENTRY = Entry("a/1.jpg", "file:///photos/a/1.jpg", "atomium", {"licence": "cc0", "sha256": "no"})


def described(entry: Entry = ENTRY) -> SourcePhoto:
    return SourcePhoto(entry, point_id("g", "photos", entry.path), "photos")


def stored(entry: Entry = ENTRY, **changes: object) -> Mapping[str, object]:
    payload = payload_of(
        described(entry),
        sha256="aa",
        version="1-2",
        width=3,
        height=2,
        indexed_at=THEN,
        job_id="old",
        inside=INSIDE,
    )
    return {**payload.to_payload(), **changes}


def test_a_photo_without_a_point_or_with_other_bytes_is_encoded():
    assert decide(described(), "aa", "1-2", None, "new", NOW).action is Action.ENCODE
    assert decide(described(), "bb", "1-2", stored(), "new", NOW).action is Action.ENCODE


def test_a_point_with_an_unreadable_payload_is_replaced():
    assert decide(described(), "aa", "1-2", {"sha256": "aa"}, "new", NOW).action is Action.ENCODE


def test_the_same_photo_needs_nothing_whichever_job_wrote_it():
    decision = decide(described(), "aa", "1-2", stored(), "new", NOW)
    assert (decision.action, decision.payload) == (Action.NOTHING, None)


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, landmark="soreq"),
        replace(ENTRY, landmark=None),
        replace(ENTRY, uri="file:///moved/a/1.jpg"),
        replace(ENTRY, columns={"licence": "by"}),
        replace(ENTRY, columns={}),
        replace(ENTRY, columns={"licence": "cc0", "photographer": "x"}),
    ],
)
def test_a_changed_description_is_written_without_encoding(entry):
    decision = decide(described(entry), "aa", "1-2", stored(), "new", NOW)
    assert decision.action is Action.PAYLOAD
    payload = decision.payload
    assert payload is not None
    assert (payload.landmark, payload.uri) == (entry.landmark, entry.uri)
    assert (payload.width, payload.height, payload.job_id) == (3, 2, "new")
    assert payload.indexed_at == NOW
    assert (
        decide(described(entry), "aa", "1-2", payload.to_payload(), "newer", NOW).action
        is Action.NOTHING
    )


def test_a_photo_that_can_be_read_again_is_no_longer_stale():
    decision = decide(described(), "aa", "1-2", stored(stale=True), "new", NOW)
    assert decision.action is Action.PAYLOAD
    assert decision.payload is not None
    assert not decision.payload.stale


def test_later_entries_of_a_path_are_duplicates_and_problems_are_not():
    entries = [Entry("a", "u"), Entry("b", "u"), Entry("a", "u"), Entry("../c", "", problem="out")]
    entries.append(entries[-1])
    assert [one.duplicate for one in marked(entries, set())] == [False, False, True, False, False]


def test_a_listing_that_is_begun_again_adds_what_is_missing_and_nothing_twice():
    before = [Entry(path, "u") for path in "abcab"]
    after = [Entry(path, "u") for path in "zabcabad"]
    held = list(marked(before, set()))
    seen: set[bytes] = set()
    new = list(marked(without(Counter(one.entry.path for one in held), after, seen), seen))
    assert [(one.entry.path, one.duplicate) for one in new] == [
        ("z", False),
        ("a", True),
        ("d", False),
    ]


@given(st.integers(0, 50), st.integers(1, 10))
def test_chunks_are_the_whole_stream_in_order(count, size):
    entries = list(marked((Entry(str(n), "u") for n in range(count)), set()))
    cut = list(batched(entries, size))
    assert list(itertools.chain(*cut)) == entries
    assert all(len(chunk) == size for chunk in cut[:-1])
    assert all(cut)


def test_a_column_that_no_payload_can_have_is_refused_and_indexings_own_are_not():
    fine = [Entry("a", "u", None, {"split": "x", "width": "7", "source": "flickr"})]
    assert list(checked(fine)) == fine
    with pytest.raises(InvalidInputError, match=r"a\.b"):
        list(checked([Entry("a", "u", None, {"a.b": "x"})]))


def test_a_request_to_an_encoder_stays_below_its_limits_and_the_channels():
    limits = request_limits(
        pb.InputLimits(max_photo_bytes=100, max_batch_photos=3, max_request_bytes=1_000_000)
    )
    assert limits.holds(3, 900_000)
    assert not limits.holds(4, 300)
    assert not limits.holds(2, 1_000_000)
    unstated = request_limits(pb.InputLimits())
    assert 0 < unstated.photo_bytes <= unstated.total_bytes < MAX_MESSAGE_BYTES


def test_a_spec_is_completed_or_refused_by_field():
    spec = IndexSpec("g", "/photos", ("b", "a", "b"), ("train", "train"))
    full = checked_spec(spec, ["a", "b", "c"])
    assert (full.models, full.splits) == (("b", "a"), ("train",))
    assert checked_spec(replace(spec, models=()), ["a", "b", "c"]).models == ("a", "b", "c")
    assert IndexSpec.from_json(full.to_json()) == full
    for change, field in (
        ({"gallery": "A"}, "gallery"),
        ({"source": ""}, "source"),
        ({"models": ("d",)}, "models"),
        ({"source_name": "a/b"}, "source_name"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            checked_spec(replace(spec, **change), ["a", "b", "c"])
        assert caught.value.field == field


def test_a_column_with_a_reserved_name_is_stored_under_another():
    payload = stored()
    assert (payload["sha256"], payload["manifest_sha256"]) == ("aa", "no")


@pytest.mark.parametrize(
    "long",
    [
        replace(ENTRY, columns={"text": "é" * 16_400}),
        replace(ENTRY, columns={f"{n:03}": "x" * 200 for n in range(200)}),
        replace(ENTRY, landmark="x" * 33_000),
        replace(ENTRY, path="a/" * 20_000),
    ],
)
def test_a_photo_with_more_text_than_a_payload_may_have_is_a_dead_letter(long):
    (found,) = checked([long])
    assert found == Entry(long.path[:1000], "", problem=found.problem)
    assert "at most 32,768 are stored with a photo" in found.problem


def test_a_photo_with_a_long_description_is_indexed():
    entry = replace(ENTRY, columns={"text": "x" * 32_000})
    assert list(checked([entry])) == [entry]


def test_a_payload_of_an_earlier_release_is_completed_without_encoding_and_once():
    old = {
        name: value
        for name, value in stored().items()
        if name not in INSIDE.facts and name != "payload_version"
    }
    assert known_of(old).payload_version == ""
    decision = decide(described(), "aa", "1-2", old, "new", NOW, INSIDE)
    assert decision.action is Action.PAYLOAD
    assert decision.payload is not None
    completed = decision.payload.to_payload()
    assert completed == {**stored(), "job_id": "new", "indexed_at": NOW.isoformat()}
    assert decide(described(), "aa", "1-2", completed, "newer", NOW).action is Action.NOTHING


def test_a_column_is_stored_instead_of_the_fact_of_its_name_and_makes_way_for_it_again():
    entry = replace(ENTRY, columns={"taken": "1958", "lens": "none", "camera": ""})
    decision = decide(described(entry), "aa", "1-2", stored(), "new", NOW, INSIDE)
    assert decision.payload is not None
    payload = decision.payload.to_payload()
    assert (payload["taken"], payload["lens"], payload["camera"]) == ("1958", "none", "Canon")
    assert "taken_zone" not in payload, "of a time that is not stored"
    same = decide(described(entry), "aa", "1-2", payload, "newer", NOW)
    assert same.action is Action.NOTHING
    without = decide(described(), "aa", "1-2", payload, "newer", NOW, INSIDE)
    assert without.payload is not None
    again = without.payload.to_payload()
    assert (again["taken"], again["taken_zone"]) == ("2024-05-01T12:00:00Z", "unknown")
    assert "lens" not in again


def test_a_photo_is_read_again_when_what_its_facts_depend_on_has_changed():
    wanted = FactsWanted()
    beside = replace(ENTRY, sidecars=("a/1.xmp",))
    versions = [
        payload_version(ENTRY, [], wanted),
        payload_version(ENTRY, [], FactsWanted(places=False)),
        payload_version(ENTRY, [], FactsWanted(serials=True)),
        payload_version(beside, ["5-6"], wanted),
        payload_version(beside, ["5-7"], wanted),
        payload_version(replace(ENTRY, sidecars=("a/1.jpg.xmp",)), ["5-6"], wanted),
        payload_version(replace(ENTRY, columns={"camera": "x"}), [], wanted),
    ]
    assert len(set(versions)) == len(versions)
    assert payload_version(replace(ENTRY, columns={"licence": "x"}), [], wanted) == versions[0]


def test_facts_that_a_payload_has_no_room_for_are_left_out():
    entry = replace(ENTRY, columns={"text": "x" * 32_600})
    inside = Inside({"camera": "Canon", "caption": "c" * 1000}, "1")
    decision = decide(described(entry), "aa", "1-2", stored(), "new", NOW, inside)
    assert decision.payload is not None
    assert decision.payload.facts == {"camera": "Canon"}
