"""Copies of an engine's files are the same bytes, and holes stay holes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from landmarks.edge_server.sparse_copy import copy_tree
from tests.support.files import on_disk

BLOCK = 64 * 1024


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        bytes(100),
        bytes(3 * BLOCK),
        b"begin" + bytes(5 * BLOCK),
        bytes(5 * BLOCK) + b"end",
        bytes(2 * BLOCK - 1) + b"x" + bytes(2 * BLOCK) + b"y" * BLOCK + bytes(7),
    ],
    ids=["nothing", "short", "few zeros", "zeros", "hole behind", "hole before", "holes between"],
)
def test_a_copy_has_the_same_bytes(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source" / "inner"
    source.mkdir(parents=True)
    (source / "file").write_bytes(content)
    copy_tree(tmp_path / "source", tmp_path / "copy")
    assert (tmp_path / "copy" / "inner" / "file").read_bytes() == content


def test_a_copy_of_holes_takes_no_disk_and_omits_what_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "chunk.mmap").open("wb") as file:
        file.truncate(256 * BLOCK)
        file.seek(200 * BLOCK)
        file.write(os.urandom(BLOCK))
    (source / "server.lock").touch()
    copy_tree(source, tmp_path / "copy", leave_out=("*.lock",))
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["chunk.mmap"]
    assert on_disk(tmp_path / "copy") <= max(4 * BLOCK, on_disk(source))
