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

_PIECE = 16  # of a hash's characters: enough to be found nowhere else


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
        for place in places_of(sha256, data):  # and what it had before
            data[place] ^= 0xA5
            damaged += 1
        page.write_bytes(data)
    assert damaged


def places_of(sha256: bytes, data: bytes) -> set[int]:
    """Return the places around a hash in compressed data, which may hold only pieces of it."""
    places: set[int] = set()
    for offset in range(0, len(sha256) - _PIECE, 4):
        piece, found = sha256[offset : offset + _PIECE], -1
        while (found := data.find(piece, found + 1)) >= 0:
            begin = found - offset
            places.update(range(begin - 60, begin), range(begin + 40, begin + 60))
    return places


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
