"""The Python client fills a gallery and finds its photos: every part real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from landmarkapi.indexing.v1 import indexing_pb2
from landmarks.client import Landmarks
from landmarks.errors import ForbiddenError, NotFoundError
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.integration


async def test_a_folder_is_indexed_watched_listed_and_searched(tmp_path: Path) -> None:
    for seed in range(3):
        draw_photo(tmp_path / "photos" / "Atomium" / f"{seed}.png", seed)
    (tmp_path / "photos" / "Atomium" / "broken.jpg").write_bytes(b"this is not a photo")
    (tmp_path / "valkey").mkdir()

    with running_valkey(tmp_path / "valkey") as valkey:
        rig = Rig(tmp_path, valkey, tmp_path / "photos")
        with rig.qdrant(), rig.encoder(), rig.worker():
            settings = SearchSettings(
                qdrant_port=rig.qdrant_port,
                redis_url=valkey.url,
                encoders={MODEL: [f"127.0.0.1:{rig.encoder_port}"]},
                source_roots=[str(rig.photos)],
                search_port=0,
            )
            async with running(settings) as service:
                await asyncio.to_thread(use, f"127.0.0.1:{service.port}", rig.photos)


def use(target: str, photos: Path) -> None:
    with Landmarks(target) as client:
        with pytest.raises(ForbiddenError, match="LANDMARKS_SOURCE_ROOTS"):
            client.index("/etc", gallery="mine", models=[MODEL])
        with pytest.raises(NotFoundError):
            client.job("00000000-0000-0000-0000-000000000000")

        job = client.index(str(photos), gallery="mine", models=[MODEL], request_id="once")
        again = client.index(str(photos), gallery="mine", models=[MODEL], request_id="once")
        assert again.id == job.id

        *_, last = client.watch(job.id)
        assert last.state == indexing_pb2.JOB_STATE_SUCCEEDED
        [progress] = last.progress
        assert (progress.listed, progress.stored, progress.dead) == (4, 3, 1)
        assert client.job(job.id).progress[0].stored == 3
        assert [one.id for one in client.jobs("mine")] == [job.id]
        assert list(client.jobs("another")) == []

        [letter] = client.dead_letters(job.id)
        assert letter.path == "Atomium/broken.jpg"
        [collection] = client.collections("mine")
        assert (collection.model, collection.points, collection.live) == (MODEL, 3, True)
        assert list(client.collections("another")) == []

        vector = (MODEL, [1.0] * collection.dimension)
        hits = client.search(vector=vector, gallery="mine").fused
        assert len(hits) == 3
        others = client.search(point_id=hits[0].point.id, gallery="mine").fused
        assert [hit.point.id for hit in others] != [hit.point.id for hit in hits]
        assert len(others) == 2
