"""IndexingService over gRPC, with a real worker behind it."""

import asyncio
import os
import pty
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarkapi.indexing.v1.indexing_pb2_grpc import (
    IndexingServiceStub,
    add_IndexingServiceServicer_to_server,
)
from landmarks.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidInputError,
    LandmarksError,
    NotFoundError,
    UnavailableError,
)
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Sources
from landmarks.rpc.channel import open_aio_channel
from landmarks.rpc.server import bind, create_server
from landmarks.rpc.status import error_from_rpc
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.settings import VectorStoreSettings
from search_service.indexing.servicer import create_indexing_servicer
from search_service.search.recall_monitor import RecallMonitor
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        made = Rig(tmp_path_factory.mktemp("rig"), valkey, tmp_path_factory.mktemp("photos"))
        with made.qdrant(), made.encoder(), made.worker():
            yield made


@asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[int]:
    """Serve the rig, and yield the port."""
    settings = VectorStoreSettings(qdrant_port=rig.qdrant_port)
    store = SearchStore(settings)
    servicer = create_indexing_servicer(
        redis_url=rig.valkey.url,
        models=[MODEL],
        sources=Sources(SourceRoots([str(rig.photos)])),
        collections=store,
        qdrant=settings,
        recall=RecallMonitor(store, 0.0),
    )
    server = create_server()
    add_IndexingServiceServicer_to_server(servicer, server)
    port = bind(server, "127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)
    await servicer.close()
    await store.close()


@pytest.fixture
async def stub_port(rig: Rig) -> AsyncIterator[int]:
    async with serving(rig) as port:
        yield port


@pytest.fixture
async def stub(stub_port: int) -> AsyncIterator[IndexingServiceStub]:
    async with open_aio_channel(f"127.0.0.1:{stub_port}") as channel:
        yield IndexingServiceStub(channel)


@pytest.fixture
def gallery() -> str:
    return f"g{uuid.uuid4().hex[:12]}"


@pytest.fixture
def folder(rig: Rig, gallery: str) -> Path:
    made = rig.photos / gallery
    for seed in range(10):
        draw_photo(made / "atomium" / f"{seed}.png", seed)
    (made / "atomium" / "bad.png").write_bytes(b"nothing")
    return made


async def failure(call: grpc.aio.UnaryUnaryCall) -> LandmarksError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return error_from_rpc(caught.value)


def creating(
    gallery: str, source: object, request_id: str = "", **more
) -> pb.CreateIndexJobRequest:
    spec = pb.IndexSpec(**{"gallery": gallery, "source": str(source), "models": [MODEL]} | more)
    return pb.CreateIndexJobRequest(spec=spec, request_id=request_id)


async def test_an_index_job_cannot_be_a_reindexing(stub, gallery, folder):
    request = creating(gallery, folder, reindexing=pb.Reindexing())
    error = await failure(stub.CreateIndexJob(request))
    assert isinstance(error, InvalidInputError)
    assert error.field == "spec.reindexing"


async def test_a_job_is_created_watched_to_its_end_and_listed(stub, gallery, folder):
    created = (await stub.CreateIndexJob(creating(gallery, folder))).job
    assert created.state in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING)
    assert created.spec.gallery == gallery

    seen = [
        answer.job
        async for answer in stub.WatchIndexJob(pb.WatchIndexJobRequest(id=created.id), timeout=60)
    ]

    job = seen[-1]
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert all(one.state != pb.JOB_STATE_SUCCEEDED for one in seen[:-1])
    assert job.listing_complete
    (progress,) = job.progress
    assert (progress.listed, progress.stored, progress.dead) == (11, 10, 1)
    assert progress.photos_per_second > 0
    assert not progress.HasField("time_left")
    left_over = [
        one.progress[0].time_left.ToTimedelta()
        for one in seen
        if one.progress[0].HasField("time_left")
    ]
    assert all(left >= timedelta() for left in left_over)
    assert job.update_time.ToDatetime() >= job.create_time.ToDatetime()
    assert (await stub.GetIndexJob(pb.GetIndexJobRequest(id=created.id))).job == job

    letters = await stub.ListDeadLetters(pb.ListDeadLettersRequest(job_id=job.id))
    (letter,) = letters.dead_letters
    assert (letter.model, letter.path, letter.attempts) == (MODEL, "atomium/bad.png", 1)
    assert "not an image" in letter.reason
    assert letter.uri == f"file://{folder}/atomium/bad.png"

    collections = await stub.ListCollections(pb.ListCollectionsRequest(gallery=gallery))
    (collection,) = collections.collections
    assert (collection.name, collection.points) == (progress.collection, 10)
    assert (collection.live, collection.digest) == (True, progress.digest)


async def test_no_model_means_all_models(stub, gallery, folder):
    created = (await stub.CreateIndexJob(creating(gallery, folder, models=[]))).job
    assert list(created.spec.models) == [MODEL]


async def test_jobs_are_listed_newest_first_a_page_at_a_time(stub, gallery, folder):
    ids = [(await stub.CreateIndexJob(creating(gallery, folder))).job.id for _ in range(5)]
    found: list[str] = []
    token = ""
    while True:
        page = await stub.ListIndexJobs(
            pb.ListIndexJobsRequest(gallery=gallery, page_size=2, page_token=token)
        )
        assert len(page.jobs) <= 2
        found += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert found == ids[::-1]


async def test_a_repeated_request_id_returns_the_same_job(stub, gallery, folder):
    request_id = uuid.uuid4().hex
    first = (await stub.CreateIndexJob(creating(gallery, folder, request_id))).job
    second = (await stub.CreateIndexJob(creating(gallery, folder, request_id))).job
    assert second.id == first.id

    other = creating(f"{gallery}2", folder, request_id)
    error = await failure(stub.CreateIndexJob(other))
    assert isinstance(error, AlreadyExistsError)
    assert first.id in str(error)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"gallery": "No Name"}, "spec.gallery", "is not a name"),
        ({"gallery": ""}, "spec.gallery", "is not a name"),
        ({"source": ""}, "spec.source", "source is missing"),
        ({"source": "photos"}, "spec.source", "relative path"),
        ({"source": "{root}/missing"}, "spec.source", "does not exist"),
        ({"source": "{root}/empty"}, "spec.source", "has no photos"),
        ({"models": ["resnet"]}, "spec.models", "there are: colours"),
        ({"splits": ["train"]}, "spec.splits", "is a folder"),
        ({"source_name": "a/b"}, "spec.source_name", "has a /"),
    ],
)
async def test_an_invalid_spec_is_refused_with_its_field(
    rig, stub, gallery, folder, change, field, said
):
    (rig.photos / "empty").mkdir(exist_ok=True)
    change = {
        name: value.format(root=rig.photos) if isinstance(value, str) else value
        for name, value in change.items()
    }
    values = {"gallery": gallery, "source": str(folder)} | change
    error = await failure(stub.CreateIndexJob(creating(**values)))
    assert isinstance(error, InvalidInputError)
    assert error.field == field
    assert said in str(error)


async def test_a_source_outside_the_roots_is_forbidden(stub, gallery):
    for source in ("/etc", "http://127.0.0.1:1/photos", "ftp://host/photos"):
        error = await failure(stub.CreateIndexJob(creating(gallery, source)))
        assert isinstance(error, ForbiddenError)


async def test_an_unknown_job_is_not_found(stub):
    for call in (
        stub.GetIndexJob(pb.GetIndexJobRequest(id="none")),
        stub.GetIndexJob(pb.GetIndexJobRequest(id="none:chunks")),
        stub.ListDeadLetters(pb.ListDeadLettersRequest(job_id="none")),
    ):
        assert isinstance(await failure(call), NotFoundError)
    with pytest.raises(grpc.RpcError) as caught:
        await stub.WatchIndexJob(pb.WatchIndexJobRequest(id="none")).read()
    assert isinstance(error_from_rpc(caught.value), NotFoundError)


async def test_an_invalid_page_is_refused(stub):
    for request in (
        pb.ListIndexJobsRequest(page_size=-1),
        pb.ListIndexJobsRequest(page_size=1001),
        pb.ListIndexJobsRequest(page_token="x"),
        pb.ListIndexJobsRequest(page_token="1" * 5000),
    ):
        assert isinstance(await failure(stub.ListIndexJobs(request)), InvalidInputError)


async def test_without_redis_a_job_is_refused_at_once_and_accepted_when_it_is_back(tmp_path):
    (tmp_path / "valkey").mkdir()
    photo = draw_photo(tmp_path / "photos" / "a.png", 1)
    with running_valkey(tmp_path / "valkey") as valkey:
        rig = Rig(tmp_path, valkey, photo.parent)
        async with serving(rig) as port, open_aio_channel(f"127.0.0.1:{port}") as channel:
            stub = IndexingServiceStub(channel)
            before = (await stub.CreateIndexJob(creating("g", photo.parent))).job
            valkey.stop()
            request = creating("g", photo.parent)
            error = await failure(stub.CreateIndexJob(request, timeout=30))
            assert isinstance(error, UnavailableError)
            assert f"Redis at 127.0.0.1:{valkey.port} cannot be reached" in str(error)
            assert "LANDMARKS_REDIS_URL" in str(error)
            valkey.start()
            after = (await stub.CreateIndexJob(request)).job
            assert after.id != before.id
            with valkey.client() as client:
                assert client.llen("index") == 2


async def test_the_command_prunes_more_than_a_third_only_with_yes(rig, stub_port, gallery, folder):
    (folder / "atomium" / "bad.png").unlink()
    arguments = [Path(sys.executable).with_name("landmarks"), "index", folder, "-g", gallery]
    arguments += ["--wait", "--server", f"127.0.0.1:{stub_port}"]

    async def run(*more: str, stdin: int = asyncio.subprocess.DEVNULL) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            *more,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, " ".join(output.decode().split())

    assert (await run())[0] == 0
    for seed in range(6):
        (folder / "atomium" / f"{seed}.png").unlink()
    status, said = await run("--prune")
    assert status == 1
    assert "6 are of photos that it no longer lists" in said
    assert "--prune --yes" in said
    assert len(rig.payloads(gallery)) == 10
    ours, terminal = pty.openpty()
    os.write(ours, b"y\n")
    status, said = await run("--prune", stdin=terminal)
    assert "Delete 6 points?" in said
    assert status == 0
    os.close(terminal)
    os.close(ours)
    assert len(rig.payloads(gallery)) == 4
    for seed in range(6, 8):
        (folder / "atomium" / f"{seed}.png").unlink()
    assert (await run("--prune", "--yes"))[0] == 0
    assert len(rig.payloads(gallery)) == 2


async def test_a_job_says_what_it_did_not_prune_without_confirmation(stub, rig, gallery, folder):
    async def job_of(**more) -> pb.IndexJob:
        created = (await stub.CreateIndexJob(creating(gallery, folder, **more))).job
        request = pb.WatchIndexJobRequest(id=created.id)
        return [answer.job async for answer in stub.WatchIndexJob(request, timeout=60)][-1]

    await job_of()
    for seed in range(6):
        (folder / "atomium" / f"{seed}.png").unlink()
    job = await job_of(prune=True)
    assert "pruning must be confirmed" in job.not_pruned
    assert (job.not_pruned_points, job.progress[0].pruned) == (6, 0)
    job = await job_of(prune=True, prune_confirmed=True)
    assert (job.not_pruned, job.progress[0].pruned) == ("", 6)
    assert job.spec.prune_confirmed


async def test_a_source_that_may_have_moved_is_refused_at_once(stub, rig, gallery, folder):
    created = (await stub.CreateIndexJob(creating(gallery, folder))).job
    watched = stub.WatchIndexJob(pb.WatchIndexJobRequest(id=created.id), timeout=60)
    assert [answer.job.state async for answer in watched][-1] == pb.JOB_STATE_SUCCEEDED
    other = rig.photos / f"{gallery}-elsewhere" / folder.name
    other.parent.mkdir()
    folder.rename(other)
    error = await failure(stub.CreateIndexJob(creating(gallery, other)))
    assert isinstance(error, InvalidInputError)
    assert error.field == "spec.source_name"
    assert "photos of another source" in str(error)


async def test_a_job_with_nothing_but_dead_letters_says_so(stub, rig, gallery):
    (rig.photos / gallery).mkdir()
    (rig.photos / gallery / "bad.png").write_bytes(b"nothing")
    created = (await stub.CreateIndexJob(creating(gallery, rig.photos / gallery))).job
    watched = stub.WatchIndexJob(pb.WatchIndexJobRequest(id=created.id), timeout=60)
    job = [answer.job async for answer in watched][-1]
    assert (job.state, job.progress[0].dead) == (pb.JOB_STATE_SUCCEEDED, 1)
    assert job.outcome == "not one photo could be indexed; the dead letters say why"
