from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.page_gallery import Files, fill_with_files
from tests.support.page_stack import Page, page_running
from tests.support.search_stack import Qdrant


@pytest.fixture(scope="session")
def files(qdrant: Qdrant, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return fill_with_files(qdrant.settings, tmp_path_factory.mktemp("page"))


@pytest.fixture
async def page(qdrant: Qdrant, files: Files) -> AsyncIterator[Page]:
    async with page_running(qdrant.settings, [files.root], max_photo_bytes=1_000_000) as running:
        yield running
