"""One stack for all tests of this folder, and a folder of photos to index."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_stack import COLOURS, Stack, photo


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("colours")
    for colour in COLOURS:
        (root / colour).mkdir()
        for number in range(8):
            (root / colour / f"{number}.jpg").write_bytes(photo(colour, number))
    return root


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.start()
    try:
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()
