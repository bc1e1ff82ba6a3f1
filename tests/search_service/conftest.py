from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.search_stack import Qdrant, Stack, fill, qdrant_running, stack_running


@pytest.fixture(scope="session")
def qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Qdrant]:
    """A Qdrant with the gallery. Tests may add galleries, and do not change this one."""
    with qdrant_running(tmp_path_factory.mktemp("search") / "qdrant") as running:
        fill(running.settings)
        yield running


@pytest.fixture
async def stack(qdrant: Qdrant) -> AsyncIterator[Stack]:
    async with stack_running(qdrant.settings) as running:
        yield running


@pytest.fixture(scope="session")
def own_qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Qdrant]:
    """A Qdrant that a test may stop and restart, with a gallery; it must run again afterwards."""
    with qdrant_running(tmp_path_factory.mktemp("own") / "qdrant") as running:
        fill(running.settings, each=2)
        yield running
