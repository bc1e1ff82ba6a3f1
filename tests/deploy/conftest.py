"""The stack of docker-compose.yml, running."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from landmarks.settings import Settings
from tests.support.compose import compose_config
from tests.support.photos import drawn_photo
from tests.support.wiring import Wired, running, wired

LANDMARKS = ("Atomium", "Soreq", "Belém")


@dataclass(frozen=True)
class RunningCompose:
    """What runs, and the photos that its workers see."""

    services: dict[str, Wired]
    photos: Path


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCompose]:
    folder = tmp_path_factory.mktemp("compose")
    photos = folder / "photos"
    for seed, landmark in enumerate(LANDMARKS):
        (photos / landmark).mkdir(parents=True)
        drawn_photo(seed=seed).save(photos / landmark / "one.jpg", quality=92)
    config = compose_config(environment={"PHOTOS": str(photos)})
    services = wired(config, folder, Settings.load().cache_dir)
    with running(services, folder):
        yield RunningCompose(services, photos)
