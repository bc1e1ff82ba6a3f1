"""A payload that the engine cannot read any more is replaced by indexing its photo again."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.world import new_world
from tests.support.indexing_rig import Rig
from tests.support.processes import eventually, listens
from tests.support.valkey import running_valkey

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    for name in ("valkey", "photos"):
        (tmp_path / name).mkdir()
    with running_valkey(tmp_path / "valkey") as valkey:
        made = Rig(tmp_path, valkey, tmp_path / "photos")
        with made.encoder():
            yield made


def damage(rig: Rig, photo: Path) -> None:
    """Change what the engine has stored of a photo's payload."""
    sha256 = hashlib.sha256(photo.read_bytes()).hexdigest().encode()
    damaged = 0
    for page in (rig.directory / "qdrant").rglob("payload_storage/*.dat"):
        data = bytearray(page.read_bytes())
        place = -1
        while (place := data.find(sha256, place + 1)) >= 0:  # and what it had before
            for at in (*range(place - 60, place), *range(place + 40, place + 60)):
                data[at] ^= 0xA5
            damaged += 1
        page.write_bytes(data)
    assert damaged


@pytest.mark.slow
def test_one_damaged_payload_is_replaced_and_the_others_are_unchanged(rig, gallery):
    with rig.qdrant():
        eventually(lambda: listens(rig.qdrant_port), "the engine is there")
        with new_world(rig, gallery, workers=1, keep=True) as world:
            for number in range(10):
                world.draw(f"a/{number}.png")
            world.completed(world.workers[0], world.index())
    damage(rig, rig.photos / gallery / "a/4.png")
    with rig.qdrant():
        eventually(lambda: listens(rig.qdrant_port), "the engine is there")
        with new_world(rig, gallery, workers=1) as world:
            [worker] = world.workers
            for counts in ((1, 9, 1), (0, 10, 0)):
                (found,) = world.completed(worker, world.index(prune=True)).progress
                assert (found.encoded, found.unchanged, found.stored) == counts
                assert world.stored() == set(world.paths)
