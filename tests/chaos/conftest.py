"""Photos for tests that kill things, drawn once."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from landmarks_tools.sample_gallery.gallery import ensure_sample_gallery
from tests.chaos.stack import VIEWS, Stack
from tests.support.indexing_rig import Rig
from tests.support.processes import eventually, listens
from tests.support.valkey import running_valkey


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample views, small ones: it is not their look that counts here."""
    folder = tmp_path_factory.mktemp("views")
    gallery = ensure_sample_gallery(folder, VIEWS, 24)
    photos = folder / "photos"
    for path in sorted([*gallery.rglob("*.jpg"), *gallery.rglob("*.png")]):
        target = photos / path.parent.name / f"{path.stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return photos


@pytest.fixture
def stack(tmp_path: Path, drawn: Path) -> Iterator[Stack]:
    """A stack with photos of its own, not running yet, but for Valkey."""
    (tmp_path / "valkey").mkdir()
    photos = shutil.copytree(drawn, tmp_path / "photos")
    with running_valkey(tmp_path / "valkey") as valkey:
        yield Stack(tmp_path, photos, valkey)


@pytest.fixture(scope="session")
def still_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Engines and encoders, running, for workers whose steps a test takes."""
    directory = tmp_path_factory.mktemp("still")
    for name in ("valkey", "photos"):
        (directory / name).mkdir()
    with running_valkey(directory / "valkey") as valkey:
        made = Rig(directory, valkey, directory / "photos", has_newer=True)
        with made.qdrant(), made.encoder(), made.newer_encoder():
            for port in (made.qdrant_port, made.encoder_port, made.newer_port):
                eventually(lambda port=port: listens(port), f"port {port} is served")
            yield made


@pytest.fixture
def gallery() -> str:
    return f"g{uuid.uuid4().hex[:12]}"
