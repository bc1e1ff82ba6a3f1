"""Without a Qdrant server to compare with, each figure is a row that says what to name."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness import QUICK, Bench, run
from benchmarks.store import beside_server


@pytest.mark.parametrize("named", [None, "/nowhere/qdrant"])
def test_without_a_server_the_rows_say_why_they_are_empty(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(beside_server.BINARY, raising=False)
    if named is not None:
        monkeypatch.setenv(beside_server.BINARY, named)
    rows = run([beside_server.case()], Bench([], QUICK, tmp_path, "store-4"))
    assert len(rows) == 6
    for row in rows:
        assert row.value is None
        assert beside_server.BINARY in row.conditions
        assert named is None or named in row.conditions
