"""A collection goes to a file and comes back the same, and never half."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from landmarks.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LandmarksError,
    LineageError,
    NotFoundError,
    UnavailableError,
)
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.export import CollectionTransfer
from landmarks.vector_store.export_format import (
    ExportedPoint,
    ExportHeader,
    check_export,
    read_points,
    write_export,
)
from landmarks.vector_store.points import FloatVector, Point
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.engine import engine_process
from tests.support.stores import DIGEST, DIMENSION, StoreUnderTest, photo, photo_id, unit_rows

Store = Callable[[StoreUnderTest, int], tuple[str, FloatVector]]
HEADER = ExportHeader("e1", "a__m__abababab", "a", "m", DIGEST, 4, "Cosine", {}, {})


def transfer(engine: StoreUnderTest) -> CollectionTransfer:
    return CollectionTransfer(engine.client, engine.settings, lambda _what, _done, _total: None)


def contents(engine: StoreUnderTest, name: str) -> dict[str, tuple[bytes, object]]:
    """Everything in a collection: each vector's bits, each payload."""
    records, _ = engine.client.scroll(name, limit=1000, with_payload=True, with_vectors=True)
    return {
        str(one.id): (np.asarray(one.vector, np.float32).tobytes(), one.payload) for one in records
    }


def note(engine: StoreUnderTest, name: str) -> None:
    engine.collections.note(name, "calibration", '{"threshold": 0.5}')


def metadata(engine: StoreUnderTest, name: str) -> dict[str, object]:
    return dict(engine.client.get_collection(name).config.metadata or {})


@pytest.fixture
def target(wire_engine: StoreUnderTest, tmp_path: Path) -> Iterator[StoreUnderTest]:
    """Another Qdrant, an embedded one, empty."""
    with engine_process(tmp_path / "other") as server:
        settings = VectorStoreSettings.load({"qdrant_port": server.port})
        client = connect(settings)
        yield StoreUnderTest("target", client, settings, wire_engine.gallery)
        client.close()


@pytest.mark.integration
def test_a_collection_is_transferred_bit_for_bit_with_its_metadata(
    wire_engine: StoreUnderTest, target: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, _ = stored(wire_engine, 150)
    wire_engine.points.set_payload(
        name, [photo_id(3)], {"title": None, "depth": 1.0, "stale": True}
    )
    note(wire_engine, name)
    wire_engine.client.create_payload_index(
        name, "year", models.PayloadSchemaType.INTEGER, wait=True
    )
    file = tmp_path / "it.jsonl.gz"
    done = transfer(wire_engine).export(f"{wire_engine.gallery}__vgg16", file)
    assert (done.collection, done.points, done.changed) == (name, 150, False)

    came = transfer(target).import_(file)
    assert (came.collection, came.points, came.written) == (name, 150, 150)
    assert came.live
    assert target.collections.live(target.gallery, "vgg16").digest == DIGEST
    assert contents(target, name) == contents(wire_engine, name)
    found = metadata(target, name)
    assert found.pop("import").startswith("complete ")
    assert found == metadata(wire_engine, name)
    here, there = (one.client.get_collection(name).payload_schema for one in (wire_engine, target))
    assert {key: one.data_type for key, one in there.items()} == {
        key: one.data_type for key, one in here.items()
    }
    assert "year" in there


@pytest.mark.integration
@pytest.mark.parametrize("dimension", [128, 1280, 4096])
def test_vectors_of_any_length_keep_every_bit_though_qdrant_normalises_them(
    wire_engine: StoreUnderTest, target: StoreUnderTest, tmp_path: Path, dimension: int
) -> None:
    rows = np.random.default_rng(7).normal(size=(64, dimension)).astype(np.float32) * 3
    name = wire_engine.collection(dimension).name
    wire_engine.points.upsert(
        name, [Point(photo_id(n), rows[n], photo(n).to_payload()) for n in range(len(rows))]
    )
    transfer(wire_engine).export(name, tmp_path / "it.gz")
    transfer(target).import_(tmp_path / "it.gz")
    assert contents(target, name) == contents(wire_engine, name)


@pytest.mark.integration
def test_an_interrupted_import_goes_on_and_a_complete_one_writes_nothing(
    wire_engine: StoreUnderTest, target: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, _ = stored(wire_engine, 1500)
    transfer(wire_engine).export(name, tmp_path / "it.gz")

    class BrokenError(Exception):
        pass

    def break_off(what: str, done: int, _total: int | None) -> None:
        if what == "points" and done:
            raise BrokenError

    with pytest.raises(BrokenError):
        CollectionTransfer(target.client, target.settings, break_off).import_(tmp_path / "it.gz")
    assert 0 < target.points.count(name) < 1500
    assert target.collections.find_live(target.gallery, "vgg16") is None, "live while it is half"

    assert transfer(target).import_(tmp_path / "it.gz").written == 1500
    assert contents(target, name) == contents(wire_engine, name)

    target.points.delete(name, [photo_id(0)])  # what is done to it later is not undone
    again = transfer(target).import_(tmp_path / "it.gz")
    assert (again.collection, again.written, again.live) == (name, 0, True)
    assert target.points.count(name) == 1499


@pytest.mark.integration
def test_an_import_interrupted_after_all_was_stored_becomes_live_when_repeated(
    wire_engine: StoreUnderTest,
    target: StoreUnderTest,
    stored: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, _ = stored(wire_engine, 20)
    transfer(wire_engine).export(name, tmp_path / "it.gz")

    def break_off(*_: object) -> None:
        raise UnavailableError("Qdrant went away")

    with monkeypatch.context() as broken:
        broken.setattr(Collections, "promote", break_off)
        with pytest.raises(UnavailableError):
            transfer(target).import_(tmp_path / "it.gz")
    assert target.points.count(name) == 20
    assert target.collections.find_live(target.gallery, "vgg16") is None

    again = transfer(target).import_(tmp_path / "it.gz")
    assert (again.collection, again.written, again.live) == (name, 0, True)


@pytest.mark.integration
def test_a_live_collection_of_the_same_encoder_is_replaced_in_one_step_and_kept(
    wire_engine: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, _ = stored(wire_engine, 60)
    note(wire_engine, name)
    before = contents(wire_engine, name)
    transfer(wire_engine).export(name, tmp_path / "it.gz")
    wire_engine.points.delete(name, [photo_id(n) for n in range(50)])

    came = transfer(wire_engine).import_(tmp_path / "it.gz")
    assert (came.replaced, came.points) == (name, 60)
    assert came.collection != name
    live = wire_engine.collections.live(wire_engine.gallery, "vgg16")
    assert (live.name, live.digest) == (came.collection, DIGEST)
    assert contents(wire_engine, live.name) == before
    assert transfer(wire_engine).import_(tmp_path / "it.gz").written == 0
    # It is written to, and is the way back, as any other.
    assert wire_engine.collection() == live
    assert wire_engine.collections.roll_back(wire_engine.gallery, "vgg16") == live.name
    assert wire_engine.points.count(f"{wire_engine.gallery}__vgg16") == 10


@pytest.mark.integration
def test_a_file_of_another_encoder_never_replaces_the_live_one_by_default(
    wire_engine: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, _ = stored(wire_engine, 20)
    transfer(wire_engine).export(name, tmp_path / "it.gz")
    newer = tmp_path / "newer.gz"
    header, _ = check_export(tmp_path / "it.gz")
    points = list(read_points(tmp_path / "it.gz", header))
    write_export(newer, replace(header, digest="cd" * 32, export_id="other"), points)
    with pytest.raises(LineageError, match="--beside"):
        transfer(wire_engine).import_(newer)
    assert [one.lineage.name for one in wire_engine.collections.states(wire_engine.gallery)] == [
        name
    ]

    came = transfer(wire_engine).import_(newer, beside=True)
    assert not came.live
    assert wire_engine.collections.live(wire_engine.gallery, "vgg16").name == name
    assert wire_engine.collections.lineage(came.collection).digest == "cd" * 32


@pytest.mark.integration
def test_other_writes_to_a_half_imported_collection_keep_it_from_becoming_live(
    wire_engine: StoreUnderTest, target: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, rows = stored(wire_engine, 20)
    transfer(wire_engine).export(name, tmp_path / "it.gz")

    def meddle(what: str, _done: int, _total: int | None) -> None:
        if what == "points":
            stranger = UUID(int=1)
            target.points.upsert(name, [Point(stranger, rows[0], photo(99).to_payload())])

    with pytest.raises(LandmarksError, match="21 points, and the file 20"):
        CollectionTransfer(target.client, target.settings, meddle).import_(tmp_path / "it.gz")
    assert target.collections.find_live(target.gallery, "vgg16") is None
    # Nor do indexing or a promotion take it for a whole one.
    with pytest.raises(UnavailableError, match="the same file again, or drop"):
        target.collections.to_write(target.gallery, "vgg16", DIGEST, DIMENSION)
    with pytest.raises(UnavailableError, match="the same file again, or drop"):
        target.collections.promote(name)
    assert target.collections.find_live(target.gallery, "vgg16") is None


@pytest.mark.integration
def test_an_import_beside_becomes_live_when_repeated_while_nothing_is(
    wire_engine: StoreUnderTest, target: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    stored(wire_engine, 20)
    transfer(wire_engine).export(f"{wire_engine.gallery}__vgg16", tmp_path / "it.gz")
    came = transfer(target).import_(tmp_path / "it.gz", beside=True)
    assert (came.written, came.live) == (20, False)

    again = transfer(target).import_(tmp_path / "it.gz")

    assert (again.written, again.live) == (0, True)
    assert target.collections.live(target.gallery, "vgg16").name == came.collection


@pytest.mark.integration
def test_an_import_repeated_after_a_rollback_changes_nothing(
    wire_engine: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, _ = stored(wire_engine, 20)
    transfer(wire_engine).export(name, tmp_path / "it.gz")
    came = transfer(wire_engine).import_(tmp_path / "it.gz")
    assert wire_engine.collections.roll_back(wire_engine.gallery, "vgg16") == came.collection

    again = transfer(wire_engine).import_(tmp_path / "it.gz")

    assert (again.collection, again.written, again.live) == (came.collection, 0, False)
    assert wire_engine.collections.live(wire_engine.gallery, "vgg16").name == name


@pytest.mark.integration
def test_writes_during_an_export_are_reported(
    wire_engine: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, rows = stored(wire_engine, 20)

    def meddle(_what: str, _done: int, _total: int | None) -> None:
        wire_engine.points.upsert(name, [Point(photo_id(500), rows[0], photo(500).to_payload())])

    done = CollectionTransfer(wire_engine.client, wire_engine.settings, meddle).export(
        name, tmp_path / "it.gz"
    )
    assert done.changed


@pytest.mark.integration
def test_a_broken_export_leaves_no_file_and_an_existing_one_alone(
    wire_engine: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError):
        transfer(wire_engine).export(f"{wire_engine.gallery}__vgg16", tmp_path / "it.gz")
    with pytest.raises(InvalidInputError, match="neither"):
        transfer(wire_engine).export("whatever", tmp_path / "it.gz")
    name, _ = stored(wire_engine, 5)
    gone = VectorStoreSettings.load({"qdrant_port": 1})
    away = CollectionTransfer(connect(gone), gone, lambda *_: None)
    with pytest.raises(UnavailableError):
        away.export(name, tmp_path / "it.gz")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "it.gz").write_text("mine")
    with pytest.raises(AlreadyExistsError):
        transfer(wire_engine).export(name, tmp_path / "it.gz")
    assert (tmp_path / "it.gz").read_text() == "mine"


def small(path: Path) -> bytes:
    rows = unit_rows(5, 4)
    points = (ExportedPoint(n, rows[n], {"landmark": "Käseglocke", "n": n}) for n in range(5))
    assert write_export(path, HEADER, points) == 5
    return path.read_bytes()


def test_a_file_says_what_was_put_into_it_numbers_and_words(tmp_path: Path) -> None:
    small(tmp_path / "it")
    header, count = check_export(tmp_path / "it")
    assert (header, count) == (HEADER, 5)
    points = list(read_points(tmp_path / "it", header))
    assert np.array_equal(np.stack([one.vector for one in points]), unit_rows(5, 4))
    assert [one.id for one in points] == [0, 1, 2, 3, 4]
    assert points[4].payload == {"landmark": "Käseglocke", "n": 4}


def test_an_empty_collection_has_a_file_too(tmp_path: Path) -> None:
    assert write_export(tmp_path / "it", HEADER, []) == 0
    assert check_export(tmp_path / "it") == (HEADER, 0)


def test_a_file_takes_the_same_little_memory_however_long_it_is(tmp_path: Path) -> None:
    dimension = 256
    header = replace(HEADER, dimension=dimension)
    rows = unit_rows(10, dimension)
    peaks = []
    for count in (1_000, 10_000):
        path = tmp_path / str(count)
        tracemalloc.start()
        write_export(path, header, (ExportedPoint(n, rows[n % 10], {"n": n}) for n in range(count)))
        assert check_export(path) == (header, count)
        assert sum(1 for _ in read_points(path, header)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    few, many = peaks
    assert many < 1.5 * few, "as bytes of vectors alone, ten times as many are 9 MB more"


def test_a_file_that_was_cut_off_anywhere_or_has_one_wrong_bit_is_refused(tmp_path: Path) -> None:
    whole = small(tmp_path / "it")
    damaged = tmp_path / "damaged"
    for length in range(len(whole)):
        damaged.write_bytes(whole[:length])
        with pytest.raises(InvalidInputError, match="damaged"):
            check_export(damaged)
    content = gzip.decompress(whole)
    harmless = 0
    for place in range(len(whole)):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            check_export(damaged)
        except InvalidInputError:
            continue
        harmless += 1
        assert gzip.decompress(damaged.read_bytes()) == content
    assert harmless < 8, "only bits of gzip's own that mean nothing, as the time and the padding"


@pytest.mark.parametrize("lost", [0, 1, 3, -1], ids=["header", "a point", "another", "trailer"])
def test_a_file_that_lost_a_line_and_was_compressed_again_is_refused(
    tmp_path: Path, lost: int
) -> None:
    small(tmp_path / "it")
    lines = gzip.decompress((tmp_path / "it").read_bytes()).splitlines(keepends=True)
    del lines[lost]
    (tmp_path / "it").write_bytes(gzip.compress(b"".join(lines)))
    with pytest.raises(InvalidInputError):
        check_export(tmp_path / "it")


def test_a_file_that_is_no_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it"
    with pytest.raises(NotFoundError, match="no file"):
        check_export(path)
    path.write_text('{"format": "landmarks-collection"}')
    with pytest.raises(InvalidInputError, match="no export"):
        check_export(path)
    small(tmp_path / "good")
    lines = gzip.decompress((tmp_path / "good").read_bytes()).splitlines(keepends=True)
    newer = json.dumps({**json.loads(lines[0]), "version": 2}).encode() + b"\n"
    path.write_bytes(gzip.compress(b"".join([newer, *lines[1:]])))
    with pytest.raises(InvalidInputError, match="version 2"):
        check_export(path)


def test_a_damaged_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    whole = small(tmp_path / "it")
    (tmp_path / "it").write_bytes(whole[:-20])
    client = QdrantClient(":memory:")
    with pytest.raises(InvalidInputError, match="damaged"):
        CollectionTransfer(client, VectorStoreSettings.load(), lambda *_: None).import_(
            tmp_path / "it"
        )
    assert client.get_collections().collections == []


def test_a_point_of_another_length_is_named_by_its_line(tmp_path: Path) -> None:
    rows = unit_rows(2, 6)
    write_export(tmp_path / "it", HEADER, (ExportedPoint(n, rows[n], {}) for n in range(2)))
    with pytest.raises(InvalidInputError, match=r"line 2: not a point: .* 6 numbers instead of 4"):
        list(read_points(tmp_path / "it", HEADER))


NOWHERE = [
    ([float("nan"), 0.5, 0.5, 0.5], "NaN or infinity"),
    ([0.5, float("-inf"), 0.5, 0.5], "NaN or infinity"),
    ([0.0, 0.0, 0.0, 0.0], "all zeros"),
]


def with_vector(path: Path, place: int, row: list[float]) -> None:
    """Replace the vector of a point in a file, as a writer of another make would have."""
    header, *points, _ = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    point = json.loads(points[place])
    point["vector"] = base64.b64encode(np.array(row, "<f4").tobytes()).decode()
    points[place] = json.dumps(point, separators=(",", ":")).encode() + b"\n"
    digest = hashlib.sha256(b"".join([header, *points])).hexdigest()
    trailer = json.dumps({"points": len(points), "sha256": digest}, separators=(",", ":"))
    path.write_bytes(gzip.compress(b"".join([header, *points, trailer.encode() + b"\n"])))


@pytest.mark.parametrize(
    ("row", "complaint"), [*NOWHERE, ([0.5, 0.5, 0.5], "3 numbers instead of 4")]
)
def test_a_file_with_a_vector_that_cannot_be_searched_for_is_refused_before_anything_is_written(
    tmp_path: Path, row: list[float], complaint: str
) -> None:
    small(tmp_path / "it")
    with_vector(tmp_path / "it", 3, row)
    client = QdrantClient(":memory:")  # takes all of them without a word, as a server does
    with pytest.raises(InvalidInputError, match=f"line 5: .*vector of point 3 .*{complaint}"):
        CollectionTransfer(client, VectorStoreSettings.load(), lambda *_: None).import_(
            tmp_path / "it"
        )
    assert client.get_collections().collections == []


def test_a_damaged_file_is_called_damaged_even_if_a_vector_is_bad_too(tmp_path: Path) -> None:
    small(tmp_path / "it")
    with_vector(tmp_path / "it", 0, [0.0] * 4)
    content = gzip.decompress((tmp_path / "it").read_bytes())
    (tmp_path / "it").write_bytes(gzip.compress(content[:-40]))
    with pytest.raises(InvalidInputError, match="cut off or damaged"):
        check_export(tmp_path / "it")


@pytest.mark.parametrize(("row", "complaint"), NOWHERE)
def test_a_vector_that_could_not_be_imported_is_not_exported(
    tmp_path: Path, row: list[float], complaint: str
) -> None:
    point = ExportedPoint(7, np.array(row, np.float32), {})
    with pytest.raises(InvalidInputError, match=f"point 7 .*{complaint}.*index its photo again"):
        write_export(tmp_path / "it", HEADER, [point])
    assert list(tmp_path.iterdir()) == []


assert DIMENSION == 16  # pages of a thousand points: 1,500 are two of them


def test_a_line_that_unpacks_to_far_more_than_a_point_is_refused_without_taking_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bomb"
    with gzip.open(path, "wb", 1) as file:
        header = {"format": "landmarks-collection", "version": 1, **asdict(HEADER)}
        file.write(json.dumps(header).encode() + b"\n")
        file.write(b'{"id": 1, "payload": {"x": "' + b" " * 64_000_000)
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match="line 2 has more than 8,388,608 bytes"):
        check_export(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32_000_000


def test_a_point_that_could_not_be_imported_is_not_exported(tmp_path: Path) -> None:
    point = ExportedPoint(1, unit_rows(1, 4)[0], {"title": "x" * 9_000_000})
    with pytest.raises(InvalidInputError, match="long texts"):
        write_export(tmp_path / "it", HEADER, [point])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.integration
def test_long_payloads_are_exported_and_imported_in_smaller_pages(
    wire_engine: StoreUnderTest, target: StoreUnderTest, stored: Store, tmp_path: Path
) -> None:
    name, _ = stored(wire_engine, 90)
    for n in range(90):  # of an earlier version, which had no limit
        wire_engine.points.set_payload(name, [photo_id(n)], {"text": "x" * 840_000})
    transfer(wire_engine).export(name, tmp_path / "it.gz")
    assert transfer(target).import_(tmp_path / "it.gz").points == 90
