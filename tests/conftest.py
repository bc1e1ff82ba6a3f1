"""What holds for all tests."""

import os
import sys

import pytest
import structlog

from tests.support import needs
from tests.support.stores import SERVER_URL

# The tests of the page ask for it; all others would share one port.
os.environ["LANDMARKS_PAGE_PORT"] = ""


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
