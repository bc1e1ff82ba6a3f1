"""What holds for all tests."""

import os

from tests.support.stores import SERVER_URL


def pytest_report_header() -> str:
    """Say which engines the contract suite of the vector store runs against."""
    server = os.environ.get(SERVER_URL) or f"none ({SERVER_URL} is not set)"
    return f"vector store: embedded and :memory:; Qdrant server: {server}"
