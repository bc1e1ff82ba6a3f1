"""Figure 1: collections of ten thousand, a hundred thousand and a million vectors."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    typical,
)
from benchmarks.scale.collection import FLOAT32, INT8, STORAGES, BuildResult, build, server_on
from benchmarks.scale.memory import MEBIBYTE, disk_bytes, resident_bytes_of_group
from benchmarks.scale.query_load import percentile_ms
from benchmarks.scale.searches import LEAST_RECALL, LIMIT, Searches
from benchmarks.scale.synthetic_vectors import EmbeddingStatistics, SyntheticCollection
from landmarks.vector_store.settings import VectorStoreSettings

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
_QUICK_SIZES = {"10k": 1_000, "100k": 1_500, "1m": 2_000}
_SMALLEST = "10k"
_CLIENTS = 16
_QUERIES, _TUNING = 1_000, 200
# While an index is built there are the collection, its copy and what the copy becomes, each with a
# write-ahead log and payloads beside the vectors.
_DISK_PER_VECTOR_BYTE = 8

_GOALS = {
    "build-s": "",
    "pause-s": "",
    "disk-mib": "",
    "memory-mib": "",
    "recall": f">= {LEAST_RECALL}",
    "p95-1-ms": "",
    "p95-16-ms": "",
    "p95-source-ms": "",
    "p95-landmark-ms": "",
}
_GROWTH = {"growth-1": "<= 3", "growth-16": "<= 3"}
_SHARE = "<= 0.35"


def cases() -> Iterator[Case]:
    """Yield the figures `scale-1-<size>-<storage>-…`, each storage of each size by itself."""
    for size in SIZES:
        for storage in STORAGES:
            goals = _GOALS if size == _SMALLEST else {**_GOALS, **_GROWTH}
            named = {f"scale-1-{size}-{storage}-{what}": goal for what, goal in goals.items()}
            yield Case(named, partial(_measure, size, storage))
        # Of ten thousand vectors, most of the memory is the processes themselves.
        share = {f"scale-1-{size}-memory-share": _SHARE if size == "1m" else ""}
        yield Case(share, partial(_measure_share, size))


def _measure_share(size: str, bench: Bench) -> Mapping[str, Measurement]:
    # Memory is the same at every hour: the two may be of different runs, as each takes an hour.
    int8, float32 = (bench.value(f"scale-1-{size}-{one}-memory-mib") for one in (INT8, FLOAT32))
    words = f"int8, originals on disk: {int8:.0f} MiB; float32: {float32:.0f} MiB"
    return {f"scale-1-{size}-memory-share": Measurement([int8 / float32], words)}


@dataclass(frozen=True)
class _Ready:
    """A collection that is served, and what is asked of it."""

    settings: VectorStoreSettings
    name: str
    searches: Searches
    built: BuildResult
    start_seconds: float
    empty_mib: float
    memory_mib: float
    disk_mib: float
    recall: float
    filtered_recall: float


def _measure(size: str, storage: str, bench: Bench) -> Mapping[str, Measurement]:
    with contextlib.ExitStack() as parts:
        one = parts.enter_context(_ready(size, storage, bench))
        first = None
        if size != _SMALLEST:
            first = parts.enter_context(_ready(_SMALLEST, storage, bench))
        figures = {**_kept(one, size, bench), **_answers(one, first, bench)}
    return {f"scale-1-{size}-{storage}-{what}": figure for what, figure in figures.items()}


@contextlib.contextmanager
def _ready(size: str, storage: str, bench: Bench) -> Iterator[_Ready]:
    """Build a collection and serve it until the block ends; its files are removed then."""
    quick = bench.effort.quick
    drawing = SyntheticCollection(EmbeddingStatistics.load(), _count(size, bench))
    asked, tuning = (80, 20) if quick else (_QUERIES, _TUNING)
    searches = Searches.of(drawing, asked, tuning)
    with tempfile.TemporaryDirectory(prefix="landmarks-bench-") as temporary:
        folder = Path(temporary)
        _check_disk(folder, drawing)
        with server_on(folder, hurried=quick) as (server, settings):
            empty = resident_bytes_of_group(server.process.pid)
            built = build(server, settings, storage, drawing)
            searches = searches.tuned(settings, built.name, quantized=storage == INT8)
        # After a restart, nothing is left in memory from building.
        begun = time.monotonic()
        with server_on(folder, hurried=quick) as (server, settings):
            start_seconds = time.monotonic() - begun
            recall = searches.recall(settings, built.name)
            memory = resident_bytes_of_group(server.process.pid)
            yield _Ready(
                settings,
                built.name,
                searches,
                built,
                start_seconds,
                empty / MEBIBYTE,
                memory / MEBIBYTE,
                disk_bytes(folder) / MEBIBYTE,
                recall,
                searches.filtered_recall(settings, built.name),
            )


def _count(size: str, bench: Bench) -> int:
    return (_QUICK_SIZES if bench.effort.quick else SIZES)[size]


def _check_disk(folder: Path, drawing: SyntheticCollection) -> None:
    need = drawing.count * drawing.dimension * 4 * _DISK_PER_VECTOR_BYTE
    free = shutil.disk_usage(folder).free
    if free < need:
        raise CannotMeasureError(
            f"{folder.parent} has {free / 1e9:.0f} GB free, and {drawing.count} vectors may take"
            f" {need / 1e9:.0f} GB while their index is built; set TMPDIR to a larger disk"
        )


def _kept(one: _Ready, size: str, bench: Bench) -> Mapping[str, Measurement]:
    built, count = one.built, _count(size, bench)
    return {
        "build-s": Measurement(
            [built.upload_seconds + built.index_seconds],
            f"{count} vectors with payload: stored in {built.upload_seconds:.0f} s"
            f" ({count / built.upload_seconds:.0f}/s, one caller), indexed in"
            f" {built.index_seconds:.0f} s; {built.peak_bytes / MEBIBYTE:.0f} MiB at most",
        ),
        "pause-s": Measurement(
            [built.longest_wait], "the longest wait of a query while the index was built"
        ),
        "disk-mib": Measurement([one.disk_mib], "once the index is built"),
        "memory-mib": Measurement(
            [one.memory_mib],
            f"the server and its processes, restarted (in {one.start_seconds:.1f} s), after"
            f" {one.searches.asked} queries; with no collection {one.empty_mib:.0f} MiB",
        ),
        "recall": Measurement(
            [one.recall],
            f"recall@{LIMIT}; {one.searches.candidates}; within one of ten sources"
            f" {one.filtered_recall:.3f}",
        ),
    }


def _answers(one: _Ready, first: _Ready | None, bench: Bench) -> Mapping[str, Measurement]:
    def asking(ready: _Ready, what: str, clients: int) -> list[float]:
        return ready.searches.waits(
            ready.settings,
            ready.name,
            getattr(ready.searches, what),
            clients,
            bench.effort.seconds / 2,
            bench.effort.warm_seconds / 2,
        )

    ways = {
        "p95-1-ms": ("plain", 1, "one caller"),
        "p95-16-ms": ("plain", _CLIENTS, f"{_CLIENTS} callers"),
        "p95-source-ms": ("filtered", 1, "one caller, within one of ten sources"),
        "p95-landmark-ms": ("own_landmark", 1, "one caller, within one landmark"),
    }
    measures = [partial(asking, one, what, clients) for what, clients, _ in ways.values()]
    if first is not None:
        measures += [partial(asking, first, "plain", clients) for clients in (1, _CLIENTS)]
    found = in_turn(bench.effort.repetitions, *measures)
    late = [[percentile_ms(took, 95) for took in each] for each in found]
    figures = {}
    for (what, (_, _, words)), p95s, each in zip(ways.items(), late, found, strict=False):
        middle = [percentile_ms(took, 50) for took in each]
        figures[what] = Measurement(p95s, f"{words}; p50 {typical(middle, 'ms')}")
    if first is not None:
        for clients, own, small in zip((1, _CLIENTS), late[:2], late[4:], strict=True):
            figures[f"growth-{clients}"] = Measurement(
                ratios(own, small),
                f"p95 ÷ that of {_count(_SMALLEST, bench)} ({typical(small, 'ms')}, recall"
                f" {first.recall:.3f}, {first.searches.candidates}), in turn",
            )
    return figures
