"""The Python client fills a gallery and finds its photos: every part real."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.search.v1 import search_pb2
from landmarks.client import AsyncLandmarks, Landmarks
from landmarks.errors import ForbiddenError, InvalidInputError, NotFoundError
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks_tools.cli.app import app
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
                await use_from_a_loop(f"127.0.0.1:{service.port}", rig.photos)


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
        # A job that has succeeded stays as it is.
        for ask in (client.retry_dead_letters, client.cancel, client.resume):
            assert ask(job.id) == last
        end_and_go_on(client, target, photos)

        vector = (MODEL, [1.0] * collection.dimension)
        hits = client.search(vector=vector, gallery="mine").fused
        assert len(hits) == 4
        others = client.search(point_id=hits[0].point.id, gallery="mine").fused
        assert [hit.point.id for hit in others] != [hit.point.id for hit in hits]
        assert len(others) == 3


async def use_from_a_loop(target: str, photos: Path) -> None:
    async with AsyncLandmarks(target) as client:
        job = await client.index(str(photos), gallery="aio", models=[MODEL])
        seen = [one async for one in client.watch(job.id)]
        assert seen[-1].state == indexing_pb2.JOB_STATE_SUCCEEDED
        assert [one.id async for one in client.jobs("aio")] == [job.id]
        assert [one async for one in client.dead_letters(job.id)] == []
        assert (await client.cancel(job.id)).state == indexing_pb2.JOB_STATE_SUCCEEDED
        assert (await client.retry_dead_letters(job.id)).id == (await client.resume(job.id)).id
        assert (await client.job(job.id)).id == job.id

        calibrating = await client.calibrate("aio", models=[MODEL], request_id="first")
        again = await client.calibrate("aio", models=[MODEL], request_id="first")
        assert again.id == calibrating.id
        *_, last = [one async for one in client.watch(calibrating.id)]
        assert last.kind == indexing_pb2.JOB_KIND_CALIBRATE
        with pytest.raises(NotFoundError, match="no map"):
            await client.map("aio", MODEL)
        drawing = await client.draw_map("aio", MODEL)
        *_, last = [one async for one in client.watch(drawing.id)]
        assert last.kind == indexing_pb2.JOB_KIND_MAP
        with pytest.raises(InvalidInputError, match="not the name of a collection"):
            await client.promote("nothing")
        [collection] = await client.collections("aio")
        with pytest.raises(NotFoundError, match="the first live"):
            await client.roll_back("aio", MODEL)
        [deleted] = await client.delete("aio", source="photos")
        assert deleted.points == 4
        await client.drop(collection.name, live_too=True)
        assert await client.collections("aio") == []


def end_and_go_on(client: Landmarks, target: str, photos: Path) -> None:
    """Cancel a job and resume it, with the client and with the command."""
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


async def test_points_are_deleted_and_collections_switched_by_the_command(tmp_path: Path) -> None:
    for seed in range(6):
        draw_photo(tmp_path / "photos" / ("Atomium", "Soreq")[seed % 2] / f"{seed}.png", seed)
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
            rig.index("mine", rig.photos)
            async with running(settings) as service:
                await asyncio.to_thread(change, f"127.0.0.1:{service.port}", rig)


def change(target: str, rig: Rig) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments, "--server", target])
        assert result.exit_code == status, (result.output, result.exception)
        return result.output + str(result.exception or "")

    def left() -> set[str]:
        return set(rig.payloads("mine"))

    every = left()
    with Landmarks(target) as client:
        [hit, *_] = client.search(
            photo=(rig.photos / "Atomium/0.png").read_bytes(), gallery="mine"
        ).fused
        [live] = client.collections("mine")
        with pytest.raises(InvalidInputError, match="no condition"):
            client.delete("mine", filter=search_pb2.Filter())
        words = search_pb2.Condition(field="path", words="Atomium")
        with pytest.raises(InvalidInputError, match="cannot be searched for"):
            client.delete("mine", filter=search_pb2.Filter(must=[words]))
        with pytest.raises(InvalidInputError, match="cannot be sent"):
            client.search(photo=b"x", gallery="mine", limit=3_000_000_000)
        with pytest.raises(InvalidInputError, match="point id 'x' is not a UUID"):
            client.delete("mine", ids=["x"])
        with pytest.raises(NotFoundError, match="gallery 'other' does not exist"):
            client.delete("other", source="photos")
        with pytest.raises(NotFoundError, match="no collection of 'vgg16'"):
            client.delete("mine", source="photos", models=["vgg16"])
    assert left() == every

    kept = CliRunner().invoke(
        app, ["delete", "-g", "mine", "--source", "photos", "--server", target], input="n\n"
    )
    assert (kept.exit_code, left()) == (1, every)
    assert live.name in run("delete", "-g", "mine", "--id", hit.point.id, "--yes")
    assert left() == every - {"Atomium/0.png"}
    run("delete", "-g", "mine", "--where", "landmark=Atomium", "--yes")
    assert left() == {"Soreq/1.png", "Soreq/3.png", "Soreq/5.png"}
    run("delete", "-g", "mine", "--source", "photos", "--path", "Soreq/3", "--yes")
    assert left() == {"Soreq/1.png", "Soreq/5.png"}
    assert "needs --source" in run("delete", "-g", "mine", "--id", "x", "--path", "y", status=2)

    job = rig.index("mine", rig.photos)  # restores the deleted points
    assert (job.progress[0].stored, job.progress[0].unchanged) == (4, 2)

    with closing(rig.client()) as qdrant:
        beside = Collections(qdrant, VectorStoreSettings()).create_beside(
            "mine", MODEL, "c" * 64, 8
        )
    assert f"{beside.name} is live: 0 points" in run("collections", "--promote", beside.name)
    assert "Delete it?" in run("collections", "--drop", beside.name, status=1)
    assert f"{live.name} is live: 6 points" in run("collections", "--rollback", f"mine__{MODEL}")
    run("collections", "--drop", beside.name)
    assert beside.name not in run("collections")
    run("collections", "--drop", beside.name, status=1)
    assert "not <gallery>__<model>" in run("collections", "--rollback", "mine", status=1)
