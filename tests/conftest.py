"""What holds for all tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
import structlog

from tests.support import needs
from tests.support.engine import BINARY, qdrant_binary
from tests.support.stores import SERVER_URL

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# The tests of the page ask for it; all others would share one port.
os.environ["LANDMARKS_PAGE_PORT"] = ""


# Folders whose files share one stack, and files that take longest: one process runs all tests
# of each, and these groups come first, so that none of them is left for the end.
_GROUPS = (
    "tests/chaos",
    "tests/cluster",
    "tests/landmarks_tools/local_stack",
    "tests/landmarks_tools/training",
    "tests/search_service/web/test_browser",
    "tests/deploy/test_images.py",
    "tests/indexer_worker/test_outages.py",
    "tests/search_service/indexing/test_reindexing.py",
)


def _group(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return next((group for group in _GROUPS if path.startswith(group)), path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the groups that take longest first."""
    last = len(_GROUPS)
    order = {group: place for place, group in enumerate(_GROUPS)}
    items.sort(key=lambda item: order.get(_group(item.nodeid), last))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Distribute tests by `_group`.

    pytest-xdist 3.8.0 has groups of its own, `--dist loadgroup`, which pytest 9.2.0 makes void:
    findings/xdist-loadgroup.sh.
    """
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return GroupScheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail under CI, what needs something that this machine does not have."""
    for mark in item.iter_markers("needs"):
        needs.check(mark)


def pytest_report_header() -> str:
    """Say which engines the tests run against."""
    server = os.environ.get(SERVER_URL) or qdrant_binary()
    server = server or f"none (neither {BINARY} nor {SERVER_URL} is set)"
    return f"vector store: embedded and :memory:; Qdrant server: {server}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how searches fared in the tests that break a cluster."""
    rows = [
        f"{report.nodeid.partition('::')[2]}: {text}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, text in report.user_properties
        if name == "searches"
    ]
    if rows:
        terminalreporter.section("searches meanwhile")
        terminalreporter.write_line("\n".join(rows))


@pytest.fixture(autouse=True, scope="session")
def _logs_go_where_those_of_processes_do() -> None:
    """Send logs to standard error, whatever that is when a line is written."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
