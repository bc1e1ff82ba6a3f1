"""The Python client fills a gallery and finds its photos: every part real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landmarkapi.indexing.v1 import indexing_pb2
from landmarks.cli.app import app
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

        draw_photo(photos / "Atomium" / "broken.png", 9).rename(photos / "Atomium" / "broken.jpg")
        client.retry_dead_letters(job.id)
        *_, last = client.watch(job.id)
        assert (last.progress[0].stored, last.progress[0].dead) == (4, 0)
        assert list(client.dead_letters(job.id)) == []
        # What has ended well stays as it is.
        for ask in (client.retry_dead_letters, client.cancel, client.resume):
            assert ask(job.id) == last
        end_and_go_on(client, target, photos)

        vector = (MODEL, [1.0] * collection.dimension)
        hits = client.search(vector=vector, gallery="mine").fused
        assert len(hits) == 4
        others = client.search(point_id=hits[0].point.id, gallery="mine").fused
        assert [hit.point.id for hit in others] != [hit.point.id for hit in hits]
        assert len(others) == 3


def end_and_go_on(client: Landmarks, target: str, photos: Path) -> None:
    """Cancel a job and resume it, by the client and by the command."""
    job = client.index(str(photos), gallery="other", models=[MODEL])
    cancelled = client.cancel(job.id)
    assert cancelled.state == indexing_pb2.JOB_STATE_CANCELLED
    for option in ("--watch", "--cancel"):
        shown = CliRunner().invoke(app, ["jobs", job.id, option, "--server", target])
        assert "cancelled" in shown.output
        assert (shown.exit_code != 0) is (option == "--watch")
    done = CliRunner().invoke(app, ["jobs", job.id, "--resume", "--watch", "--server", target])
    assert done.exit_code == 0, done.output
    last = client.job(job.id)
    assert last.state == indexing_pb2.JOB_STATE_SUCCEEDED
    assert (last.progress[0].listed, last.progress[0].stored) == (4, 4)
    unknown = CliRunner().invoke(app, ["jobs", job.id, "--cancel", "--retry", "--server", target])
    assert "give one of" in unknown.output
