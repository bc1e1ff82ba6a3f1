import pytest

from encoder_service.models.registry import MODULES


@pytest.fixture
def _toy(monkeypatch):
    """Register the toy encoder: the one line that a new encoder needs."""
    monkeypatch.setitem(MODULES, "toy", "tests.support.toy_encoder")
