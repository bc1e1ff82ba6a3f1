"""The whole way: real services and peers, rows in a file. What the figures are is not looked at."""

import subprocess
import sys

import pytest

from benchmarks.results import BenchRow, read_rows, write_rows
from tests.support.photos import drawn_photo, saved

pytestmark = pytest.mark.integration
OTHER = BenchRow("store-1", 2.0, ">= 1", "", "of another run")


def measured(tmp_path, only, *options):
    folder = tmp_path / "photos"
    folder.mkdir()
    for place in range(4):
        (folder / f"{place}.jpg").write_bytes(saved(drawn_photo(seed=place), "JPEG"))
    out = tmp_path / "bench.json"
    write_rows(out, [OTHER])
    command = [sys.executable, "-m", "benchmarks", "--quick", "--models", "scratch"]
    command += ["--photos", str(folder), "--only", only, "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return read_rows(out)


@pytest.mark.slow
def test_a_part_of_the_benchmarks_makes_rows_and_a_table_and_keeps_the_others(tmp_path):
    table = tmp_path / "benchmarks.md"
    figure, other = measured(tmp_path, "serve-1", "--table", str(table))
    assert other == OTHER
    assert figure.id == "serve-1-scratch"
    assert figure.value > 0
    assert figure.goal == ">= 0.90"
    assert "of 2" in figure.spread
    assert "bare loop" in figure.conditions
    assert "`serve-1-scratch`" in table.read_text()
    assert "ONLY=serve-1" in table.read_text()


@pytest.mark.slow
def test_a_peer_does_the_same_work_and_is_measured_beside_the_service(tmp_path):
    rate, late, _ = measured(tmp_path, "serve-4-scratch-plain")
    assert (rate.id, late.id) == ("serve-4-scratch-plain", "serve-4-scratch-plain-p95")
    assert rate.value > 0
    assert late.value > 0


@pytest.mark.slow
def test_the_whole_path_of_indexing_is_measured_beside_the_encoder_alone(tmp_path):
    path, _ = measured(tmp_path, "index-1")
    assert path.id == "index-1-scratch"
    assert path.value > 0
    assert "`BatchEncode` alone" in path.conditions


@pytest.mark.slow
def test_storing_is_measured_beside_a_bare_client(tmp_path):
    storing, _ = measured(tmp_path, "index-2")
    assert storing.id == "index-2"
    assert storing.value > 0


@pytest.mark.slow
def test_searching_by_vector_is_measured_beside_a_bare_client(tmp_path):
    added, throughput, *_ = measured(tmp_path, "search-1")
    assert (added.id, throughput.id) == ("search-1-added-ms", "search-1-throughput")
    assert throughput.value > 0


@pytest.mark.slow
def test_searching_by_photo_is_measured_beside_encoding(tmp_path):
    [row, *_] = measured(tmp_path, "search-2-scratch")
    assert row.id == "search-2-scratch-ms"
    assert row.value is not None


@pytest.mark.slow
def test_the_embedded_server_is_measured_beside_local_mode_at_full_recall(tmp_path):
    rows = measured(tmp_path, "store")[:3]
    assert [row.id for row in rows] == ["store-1", "store-2", "store-3"]
    assert all(row.value > 0 for row in rows)
    assert "recall@10" in rows[2].conditions


@pytest.mark.slow
def test_a_large_collection_is_measured_with_and_without_quantization(tmp_path):
    rows = {row.id: row for row in measured(tmp_path, "scale-1-10k") if row != OTHER}
    for storage in ("float32", "int8"):
        assert rows[f"scale-1-10k-{storage}-recall"].value >= 0.98
        for what in ("build-s", "memory-mib", "disk-mib", "p95-1-ms", "p95-16-ms"):
            assert rows[f"scale-1-10k-{storage}-{what}"].value > 0
    assert "rescored" in rows["scale-1-10k-int8-recall"].conditions
    assert rows["scale-1-10k-memory-share"].value > 0


@pytest.mark.slow
def test_a_larger_collection_is_measured_beside_the_smallest(tmp_path):
    rows = {row.id: row for row in measured(tmp_path, "scale-1-1m-int8")}
    assert rows["scale-1-1m-int8-growth-1"].goal == "<= 3"
    assert rows["scale-1-1m-int8-growth-16"].value > 0
    assert "scale-1-1m-float32-recall" not in rows


@pytest.mark.slow
def test_listing_and_enqueueing_many_photos_is_measured(tmp_path):
    rows = {row.id: row for row in measured(tmp_path, "scale-2")}
    assert rows["scale-2-photos-per-s"].value > 0
    assert rows["scale-2-worker-mib"].value > 0
    assert "bytes a photo" in rows["scale-2-redis-mib"].conditions


def test_figures_that_do_not_exist_are_a_mistake_in_the_command(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "nothing"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "bench.json")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "nothing" in done.stderr
