import ast
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from landmarks.errors import InvalidInputError
from landmarks.vector_store.points import (
    RESERVED_COLUMNS,
    PhotoPayload,
    check_column,
    facts_in,
    point_id,
)
from tests.support.processes import ROOT
from tests.support.stores import photo

PROGRAM = ("landmarks", "indexer_worker", "search_service", "encoder_service", "landmarks_tools")
WRITERS = {"PointStruct", "PointVectors", "update_vectors", "upload_points", "upload_collection"}


def test_ids_never_change():
    assert point_id("sample", "s", "0.jpg") == UUID("f93b1f7f-791d-5493-b60d-13737f184edf")
    assert point_id("landmarks", "photos", "paris/eiffel tower.jpg") == UUID(
        "ec34df18-ebcd-579b-aa82-9563b82ca0c0"
    )


def test_ids_differ_by_gallery_source_and_path():
    ids = {
        point_id("a", "b", "c"),
        point_id("x", "b", "c"),
        point_id("a", "x", "c"),
        point_id("a", "b", "x"),
    }
    assert len(ids) == 4


def test_a_payload_survives_being_stored():
    for number in range(8):
        assert PhotoPayload.from_payload(photo(number).to_payload()) == photo(number)
    stale = photo(1, stale=True)
    assert PhotoPayload.from_payload(stale.to_payload()) == stale


def test_facts_of_a_photo_are_kept_apart_from_columns_of_the_same_names():
    made = photo(
        1,
        columns={"camera": "a box", "year": 1958},
        facts={"camera": "Canon", "place": {"lat": 50.9, "lon": 4.3}, "keywords": ["a", "b"]},
        payload_version="1",
        sidecars=("a/1.xmp",),
    )
    payload = made.to_payload()
    assert (payload["camera"], payload["facts_stated"]) == ("a box", ["camera"])
    assert facts_in(payload) == {"place", "keywords"}
    read = PhotoPayload.from_payload(payload)
    assert read.facts == {"place": {"lat": 50.9, "lon": 4.3}, "keywords": ["a", "b"]}
    assert read.columns == made.columns
    assert read.sidecars == made.sidecars
    assert read.to_payload() == payload


def test_a_payload_of_an_earlier_release_has_columns_only():
    payload = photo(1, columns={"camera": "a box"}).to_payload()
    assert facts_in(payload) == set()
    assert PhotoPayload.from_payload(payload).columns == {"camera": "a box"}


def test_what_is_unknown_is_left_out_of_the_payload():
    payload = photo(7, landmark=None).to_payload()
    assert "landmark" not in payload
    assert "stale" not in payload


def test_times_are_stored_in_utc():
    summer = timezone(timedelta(hours=2))
    payload = photo(1, indexed_at=datetime(2026, 6, 1, 14, 0, tzinfo=summer)).to_payload()
    assert payload["indexed_at"] == "2026-06-01T12:00:00+00:00"
    with pytest.raises(InvalidInputError, match="time zone"):
        photo(1, indexed_at=datetime(2026, 6, 1, 14, 0, tzinfo=UTC).replace(tzinfo=None))


@pytest.mark.parametrize("column", sorted(RESERVED_COLUMNS))
def test_a_column_cannot_overwrite_what_indexing_records(column: str):
    with pytest.raises(InvalidInputError, match=column):
        photo(1, columns={column: "mine"})


@pytest.mark.parametrize("column", ["", " ", "a.b", 'a"b', "a[0]", "a\nb", "x" * 129])
def test_a_column_that_could_not_be_filtered_by_is_refused(column: str):
    with pytest.raises(InvalidInputError):
        check_column(column)


def test_a_column_may_be_called_almost_anything():
    for column in ("year", "taken by", "Straße", "URI"):
        assert check_column(column) == column


@pytest.mark.parametrize(
    "change",
    [{"uri": 1}, {"width": "3"}, {"width": True}, {"indexed_at": "soon"}, {"extra": [[1]]}],
)
def test_a_payload_of_another_program_is_refused(change: dict):
    with pytest.raises(InvalidInputError):
        PhotoPayload.from_payload({**photo(1).to_payload(), **change})
    with pytest.raises(InvalidInputError, match="uri"):
        PhotoPayload.from_payload({})


def test_points_with_vectors_are_made_only_where_they_are_checked():
    makers = {
        (file.name, function.name)
        for package in PROGRAM
        for file in (ROOT / package).rglob("*.py")
        for function, call in _calls(ast.parse(file.read_text(encoding="utf-8")))
        if call.func.attr in WRITERS and not _without_vector(call)
    }
    # The others write to all copies what one of them has, which was checked when it came.
    assert makers == {
        ("queries.py", "point_struct"),
        ("fenced_writes.py", "_settled"),
        ("copy_repair.py", "_newest"),
        ("copy_repair.py", "_with_claim"),
    }


def _calls(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    yield function, node


def _without_vector(call: ast.Call) -> bool:
    vectors = [one.value for one in call.keywords if one.arg == "vector"]
    return all(isinstance(one, ast.Dict) and not one.keys for one in vectors) and bool(vectors)
