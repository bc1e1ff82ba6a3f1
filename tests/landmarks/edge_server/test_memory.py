"""What the processes of the embedded server keep in memory, and what they do without."""

from __future__ import annotations

import mmap
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from landmarks import errors
from landmarks.edge_server.ipc import refusal, refused
from landmarks.edge_server.mapped_files import give_back

SIZE = 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("lean", "main", "absent"),
    [
        ("leave_out_the_client", "server", ["numpy", "httpx", "qdrant_client.http"]),
        ("leave_out_grpc", "shard_process", ["numpy", "grpc", "asyncio", "pydantic", "structlog"]),
    ],
)
def test_a_process_imports_only_what_it_needs(lean: str, main: str, absent: list[str]) -> None:
    program = (
        f"import sys; from landmarks.edge_server.lean_imports import {lean}; {lean}();"
        f" import landmarks.edge_server.{main}; print([n for n in {absent} if n in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout == "[]\n"


@pytest.mark.needs(system="linux")
@pytest.mark.parametrize(
    "name", ["wal/open-1", "payload_index/a-map/page_0.dat", "payload_index/a-map/tracker.dat"]
)
def test_what_is_only_written_leaves_the_memory_and_not_the_file(tmp_path: Path, name: str) -> None:
    with mapped(tmp_path / "shard" / "segments" / name) as written:
        written[:] = b"x" * SIZE
        assert resident(name) >= SIZE
        give_back(tmp_path / "shard")
        assert resident(name) == 0
        assert written[:] == b"x" * SIZE


@pytest.mark.needs(system="linux")
def test_what_is_searched_or_private_or_of_others_stays(tmp_path: Path) -> None:
    private, vectors, other = (
        tmp_path / "shard/wal/open-1",
        tmp_path / "shard/vector_storage/matrix.dat",
        tmp_path / "other/wal/open-1",
    )
    with (
        mapped(private, mmap.ACCESS_COPY) as copied,
        mapped(vectors) as searched,
        mapped(other) as foreign,
    ):
        for one in (copied, searched, foreign):
            one[:] = b"x" * SIZE
        give_back(tmp_path / "shard")
        assert copied[:] == b"x" * SIZE
        for name in ("shard/wal/open-1", "shard/vector_storage/matrix.dat", "other/wal/open-1"):
            assert resident(name) >= SIZE


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidInputError("what", field="vector"),
        errors.NotFoundError("Käse"),
        errors.DiskFullError("full", retry_after=7),
        errors.ConfigurationError("in use"),
        errors.UnsupportedError("no such field"),
    ],
)
def test_an_error_of_a_shard_reaches_the_server_as_it_was_raised(
    error: errors.LandmarksError,
) -> None:
    came = refused(refusal(error))
    assert (type(came), str(came), vars(came)) == (type(error), str(error), vars(error))


@contextmanager
def mapped(file: Path, access: int = mmap.ACCESS_WRITE) -> Iterator[mmap.mmap]:
    file.parent.mkdir(parents=True)
    with file.open("w+b") as opened:
        opened.truncate(SIZE)
        with mmap.mmap(opened.fileno(), SIZE, access=access) as view:
            yield view


def resident(name: str) -> int:
    """How many bytes of a mapped file are in this process's memory."""
    size, counted = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
            counted = line.endswith(name)
        elif counted and line.startswith("Rss:"):
            size += int(line.split()[1]) * 1024
    return size
