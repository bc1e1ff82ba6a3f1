from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as BrowserPage

from tests.support.browser import BOUND_MS, FLAGS, Opened, Seen
from tests.support.browser_stack import BrowserStack, browser_stack
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


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserStack]:
    with browser_stack(tmp_path_factory.mktemp("stack")) as running_stack:
        yield running_stack


# Module scope at most: its event loop blocks asynchronous tests while it runs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "mark the test with needs(program='chromium')"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def opened(stack: BrowserStack, browser: Browser) -> Iterator[Opened]:
    """Open the page; fail if a script fails or if the page sends a request elsewhere."""
    seen, contexts = Seen(), []

    def open_page(
        view: str = "search", url: str = "", width: int = 1280, **options: str
    ) -> BrowserPage:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(BOUND_MS)
        base = url or stack.page
        page.on("pageerror", lambda error: seen.problems.append(str(error)))
        page.on(
            "console",
            lambda said: "Security Policy" in said.text and seen.problems.append(said.text),
        )
        page.on(
            "request",
            lambda asked: asked.url.startswith(base) or seen.elsewhere.append(asked.url),
        )
        page.goto(f"{base}/#{view}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == Seen()
