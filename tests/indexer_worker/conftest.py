"""The stacks that the worker's tests use."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.indexing_rig import Rig
from tests.support.valkey import Valkey, running_valkey


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey) -> Iterator[Rig]:
    """The whole stack, running."""
    made = Rig(tmp_path_factory.mktemp("rig"), valkey, tmp_path_factory.mktemp("photos"))
    with made.qdrant(), made.encoder(), made.worker(sweep_seconds="1"):
        yield made


@pytest.fixture
def own_rig(tmp_path: Path) -> Iterator[Rig]:
    """A stack whose parts a test starts itself; only Valkey runs."""
    for name in ("valkey", "photos"):
        (tmp_path / name).mkdir()
    with running_valkey(tmp_path / "valkey") as server:
        yield Rig(tmp_path, server, tmp_path / "photos")


@pytest.fixture
def gallery() -> str:
    return f"g{uuid.uuid4().hex[:12]}"
