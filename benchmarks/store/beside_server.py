"""Figure 4: the embedded server beside a Qdrant server, by the same client code, in turn."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
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
from benchmarks.processes import Server
from benchmarks.scale.collection import FLOAT32, BuildResult, build
from benchmarks.scale.memory import MEBIBYTE, resident_bytes_of_group, resident_sum_of_group
from benchmarks.scale.query_load import percentile_ms, waits
from benchmarks.scale.searches import LIMIT, Searches
from benchmarks.scale.synthetic_vectors import EmbeddingStatistics, SyntheticCollection
from benchmarks.services import edge_server, qdrant_server
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings

# Where the binary of a Qdrant server is, as for the tests.
BINARY = "LANDMARKS_TEST_QDRANT_BINARY"

_POINTS = 100_000
_QUERIES = 1_000
_CLIENTS = 16
_PATIENCE_SECONDS = 3600
_EMBEDDED, _SERVER = "embedded", "server"
_GOALS = {
    "store-4-p50": "<= 1.15",
    "store-4-throughput": ">= 1.0",
    "store-4-indexing": "<= 1.1",
    "store-4-exact": "<= 1.1",
    "store-4-memory": "<= 1.15",
    "store-4-memory-restarted": "<= 1.15",
}

Start = Callable[[], AbstractContextManager[Server]]


def case() -> Case:
    """Return the figures `store-4`."""
    return Case(_GOALS, _measure)


@dataclass(frozen=True)
class _Memory:
    """What a server and all its processes have in RAM, in MiB."""

    proportional: float
    summed: float

    @classmethod
    def of(cls, server: Server) -> _Memory:
        group = server.process.pid
        return cls(
            resident_bytes_of_group(group) / MEBIBYTE, resident_sum_of_group(group) / MEBIBYTE
        )

    def __str__(self) -> str:
        return f"{self.proportional:.0f} ({self.summed:.0f}) MiB"


@dataclass(frozen=True)
class _Figures:
    """What was measured of both, the embedded server first; each time repetition by repetition."""

    built: Sequence[BuildResult]
    recalls: Sequence[float]
    p50: Sequence[Sequence[float]]
    exact: Sequence[Sequence[float]]
    throughput: Sequence[Sequence[float]]
    indexed: Sequence[_Memory]
    asked: Sequence[_Memory]
    restarted: Sequence[_Memory]


def _measure(bench: Bench) -> Mapping[str, Measurement]:
    binary = _binary()
    quick = bench.effort.quick
    drawing = SyntheticCollection(EmbeddingStatistics.load(), 2_000 if quick else _POINTS)
    searches = Searches.of(drawing, 40 if quick else _QUERIES, 0)
    with contextlib.ExitStack() as folders:
        folder = Path(folders.enter_context(tempfile.TemporaryDirectory(prefix="landmarks-bench-")))
        for name in (_EMBEDDED, _SERVER):
            (folder / name).mkdir()
        starts: list[Start] = [
            partial(edge_server, folder / _EMBEDDED),
            partial(qdrant_server, binary, folder / _SERVER),
        ]
        return _measurements(_figures(starts, drawing, searches, bench), drawing)


def _binary() -> Path:
    """Return the server's binary; raises CannotMeasureError if none is named."""
    named = os.environ.get(BINARY, "")
    found = shutil.which(named) if named else None
    if found is None:
        what = f"{BINARY}={named} is no program" if named else f"{BINARY} names no Qdrant server"
        raise CannotMeasureError(f"{what} to compare with")
    return Path(found).absolute()


def _figures(
    starts: Sequence[Start], drawing: SyntheticCollection, searches: Searches, bench: Bench
) -> _Figures:
    effort = bench.effort
    exact = [replace(query, exact=True) for query in searches.plain]

    def asking(
        ones: Sequence[tuple[Server, VectorStoreSettings, BuildResult]],
        queries: Sequence[Query],
        clients: int,
    ) -> list[list[list[float]]]:
        return in_turn(
            effort.repetitions,
            *(
                partial(
                    waits,
                    settings,
                    built.name,
                    queries,
                    clients,
                    effort.seconds / 2,
                    effort.warm_seconds / 2,
                )
                for _, settings, built in ones
            ),
        )

    with _running(starts) as both:
        built = [build(server, settings, FLOAT32, drawing) for server, settings in both]
        indexed = [_Memory.of(server) for server, _ in both]
        ones = [(*one, result) for one, result in zip(both, built, strict=True)]
        recalls = [searches.recall(settings, result.name) for _, settings, result in ones]
        single = asking(ones, searches.plain, 1)
        thorough = asking(ones, exact, 1)
        many = asking(ones, searches.plain, _CLIENTS)
        asked = [_Memory.of(server) for server, _ in both]
    with _running(starts) as both:
        for (_, settings), result in zip(both, built, strict=True):
            searches.recall(settings, result.name)
        restarted = [_Memory.of(server) for server, _ in both]
    return _Figures(
        built,
        recalls,
        [[percentile_ms(one, 50) for one in each] for each in single],
        [[percentile_ms(one, 50) for one in each] for each in thorough],
        [[len(one) / (effort.seconds / 2) for one in each] for each in many],
        indexed,
        asked,
        restarted,
    )


@contextlib.contextmanager
def _running(starts: Sequence[Start]) -> Iterator[list[tuple[Server, VectorStoreSettings]]]:
    with contextlib.ExitStack() as parts:
        servers = [parts.enter_context(start()) for start in starts]
        yield [
            (
                server,
                VectorStoreSettings(
                    qdrant_port=server.port, qdrant_timeout_seconds=_PATIENCE_SECONDS
                ),
            )
            for server in servers
        ]


def _measurements(found: _Figures, drawing: SyntheticCollection) -> Mapping[str, Measurement]:
    what = f"{drawing.count} × {drawing.dimension}, the same client code"
    seconds = [one.upload_seconds + one.index_seconds for one in found.built]

    def both(values: Sequence[object]) -> str:
        return f"embedded {values[0]}, server {values[1]}"

    def ranges(values: Sequence[Sequence[float]], unit: str) -> str:
        return both([typical(one, unit) for one in values])

    def memory(values: Sequence[_Memory], when: str) -> Measurement:
        share = values[0].proportional / values[1].proportional
        return Measurement(
            [share],
            f"{what}; all processes, shared pages counted once (in brackets: in each process);"
            f" {when}",
        )

    recalls = both([f"{one:.3f}" for one in found.recalls])
    stored = both([f"{one.upload_seconds:.0f} + {one.index_seconds:.0f} s" for one in found.built])
    return {
        "store-4-p50": Measurement(
            ratios(*found.p50),
            f"{what}, one caller, {LIMIT} hits with payload, p50; recall@{LIMIT} {recalls};"
            f" {ranges(found.p50, 'ms')}",
        ),
        "store-4-throughput": Measurement(
            ratios(*found.throughput),
            f"{what}, {_CLIENTS} callers in one process on the same cores; answers a second:"
            f" {ranges(found.throughput, '/s')}",
        ),
        "store-4-indexing": Measurement(
            [seconds[0] / seconds[1]], f"{what}; stored by one caller + indexed: {stored}; once"
        ),
        "store-4-exact": Measurement(
            ratios(*found.exact),
            f"{what}, one caller, exact, p50; {ranges(found.exact, 'ms')}",
        ),
        "store-4-memory": memory(
            found.asked,
            f"after the searches: {both(found.asked)}; once indexed: {both(found.indexed)}",
        ),
        "store-4-memory-restarted": memory(
            found.restarted, f"restarted, after the searches for recall: {both(found.restarted)}"
        ),
    }
