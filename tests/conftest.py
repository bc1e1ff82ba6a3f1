"""What holds for all tests."""

import os
import sys

import pytest
import structlog

from tests.support import needs
from tests.support.processes import ROOT
from tests.support.stores import SERVER_URL

# The tests of the page ask for it; all others would share one port.
os.environ["LANDMARKS_PAGE_PORT"] = ""


# Folders whose files share one running stack, and files that together take longest: pytest-xdist
# gives each group to one process, these first, so that none of them is left for the end.
_GROUPS = (
    "tests/chaos",
    "tests/landmarks_tools/local_stack",
    "tests/landmarks_tools/training",
    "tests/search_service/web/test_browser",
    "tests/deploy/test_images.py",
    "tests/indexer_worker/test_outages.py",
    "tests/search_service/indexing/test_reindexing.py",
)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and those of a shared stack."""
    order: dict[pytest.Item, int] = {}
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        place = next((n for n, group in enumerate(_GROUPS) if path.startswith(group)), len(_GROUPS))
        order[item] = place
        item.add_marker(pytest.mark.xdist_group((*_GROUPS, path)[place]))
    items.sort(key=order.__getitem__)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail under CI, what needs something that this machine does not have."""
    for mark in item.iter_markers("needs"):
        needs.check(mark)


def pytest_report_header() -> str:
    """Say which engines the contract suite of the vector store runs against."""
    server = os.environ.get(SERVER_URL) or f"none ({SERVER_URL} is not set)"
    return f"vector store: embedded and :memory:; Qdrant server: {server}"


@pytest.fixture(autouse=True, scope="session")
def _logs_go_where_those_of_processes_do() -> None:
    """Send logs to standard error, whatever that is when a line is written."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
