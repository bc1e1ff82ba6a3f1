"""Jobs that read a gallery: calibrating its verdicts and drawing its map."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarkapi.indexing.v1.indexing_pb2_grpc import IndexingServiceStub
from landmarkapi.search.v1 import search_pb2
from landmarkapi.search.v1.search_pb2_grpc import SearchServiceStub
from landmarks.errors import ForbiddenError, InvalidInputError, NotFoundError
from landmarks.retrieval.calibration import Calibration
from landmarks.rpc.channel import open_aio_channel
from landmarks.vector_store.collection_info import CALIBRATION
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import Point, point_id
from landmarks.vector_store.settings import VectorStoreSettings
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.indexing_rig import MODEL, Rig
from tests.support.search_stack import error_of, eventually
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.integration

KINDS = 12
EACH = 8


def pixels(kind: int, seed: int, noise: int = 90) -> np.ndarray:
    base = np.random.default_rng(kind).integers(0, 255, (4, 4, 3)).repeat(4, 0).repeat(4, 1)
    return np.clip(base + np.random.default_rng([kind, seed]).normal(0, noise, base.shape), 0, 255)


def draw(path: Path, kind: int, seed: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(kind, seed).astype(np.uint8)).save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stack with a gallery of photos of twelve landmarks."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        made = Rig(tmp_path_factory.mktemp("rig"), valkey, tmp_path_factory.mktemp("photos"))
        for kind in range(KINDS):
            for seed in range(EACH):
                draw(made.photos / f"landmark {kind}" / f"{seed}.png", kind, seed)
        with made.qdrant(), made.encoder(), made.worker(sweep_seconds="0.5"):
            made.index("g", made.photos)
            yield made


@asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[tuple[SearchServiceStub, IndexingServiceStub]]:
    settings = SearchSettings(
        qdrant_port=rig.qdrant_port,
        redis_url=rig.valkey.url,
        encoders={MODEL: rig.encoders},
        source_roots=[str(rig.photos)],
        search_port=0,
    )
    async with (
        running(settings) as service,
        open_aio_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        yield SearchServiceStub(channel), IndexingServiceStub(channel)


async def ended(indexing: IndexingServiceStub, job: pb.IndexJob) -> pb.IndexJob:
    async for answer in indexing.WatchIndexJob(pb.WatchIndexJobRequest(id=job.id), timeout=120):
        last = answer.job
    return last


async def test_a_gallery_is_calibrated_from_its_own_photos(rig: Rig, tmp_path: Path) -> None:
    known = [draw(tmp_path / f"{kind}.png", kind, 100) for kind in range(KINDS)]
    unknown = [draw(tmp_path / f"{kind}.png", kind, 0) for kind in range(500, 540)]
    async with serving(rig) as (search, indexing):

        async def verdict(photo: bytes) -> search_pb2.Verdict:
            request = search_pb2.SearchRequest(gallery="g", photo=photo)
            answer = await search.Search(request, timeout=20)
            assert answer.rankings[0].verdict == answer.verdict  # there is only one model
            return answer.verdict

        assert (await verdict(known[0])).outcome == search_pb2.Verdict.OUTCOME_UNCALIBRATED
        request = pb.CalibrateGalleryRequest(gallery="g", request_id="once")
        job = (await indexing.CalibrateGallery(request, timeout=20)).job
        assert (await indexing.CalibrateGallery(request, timeout=20)).job.id == job.id
        assert (job.kind, job.spec.models) == (pb.JOB_KIND_CALIBRATE, [MODEL])
        last = await ended(indexing, job)

        assert last.state == pb.JOB_STATE_SUCCEEDED, last.error
        assert f"calibrated with {KINDS * EACH} photos" in last.outcome
        collections = (
            await indexing.ListCollections(pb.ListCollectionsRequest(gallery="g"), timeout=20)
        ).collections
        assert [one.calibrated for one in collections] == [True]

        async def is_calibrated() -> bool:
            return (await verdict(known[0])).outcome != search_pb2.Verdict.OUTCOME_UNCALIBRATED

        await eventually(is_calibrated, "the search service looks again")
        told_known = [await verdict(photo) for photo in known]
        told_unknown = [await verdict(photo) for photo in unknown]
    named = [
        one.landmark == f"landmark {kind}"
        for kind, one in enumerate(told_known)
        if one.outcome == search_pb2.Verdict.OUTCOME_KNOWN
    ]
    assert len(named) >= 0.7 * len(known)
    assert all(named)
    answered = [one.outcome == search_pb2.Verdict.OUTCOME_KNOWN for one in told_unknown]
    assert np.mean(answered) <= 0.2
    for one in (*told_known, *told_unknown):
        assert (one.confidence >= one.threshold) == (
            one.outcome == search_pb2.Verdict.OUTCOME_KNOWN
        )


async def test_photos_of_other_landmarks_can_serve_as_unknowns(rig: Rig) -> None:
    for kind in range(300, 345):
        draw(rig.photos / "others" / f"other {kind}" / "0.png", kind, 0)
    for seed in range(10):  # known landmarks, which are ignored
        draw(rig.photos / "others" / "landmark 0" / f"{seed}.png", 0, 200 + seed)
    async with serving(rig) as (_, indexing):
        request = pb.CalibrateGalleryRequest(gallery="g", unknowns=str(rig.photos / "others"))
        last = await ended(indexing, (await indexing.CalibrateGallery(request, timeout=20)).job)
        assert last.state == pb.JOB_STATE_SUCCEEDED, last.error
        with closing(rig.client()) as qdrant:
            info = qdrant.get_collection(f"g__{MODEL}")
        calibration = Calibration.from_json(info.config.metadata[CALIBRATION])
        assert calibration.queries == (KINDS * EACH, 45)

        request.unknowns = str(rig.photos / "nowhere")
        error = await error_of(indexing.CalibrateGallery(request, timeout=20))
        assert isinstance(error, InvalidInputError)
        assert error.field == "unknowns"
        request.unknowns = "/etc"
        assert isinstance(
            await error_of(indexing.CalibrateGallery(request, timeout=20)), ForbiddenError
        )


async def test_a_gallery_that_is_too_small_is_not_calibrated_and_the_job_reports_it(
    rig: Rig, tmp_path: Path
) -> None:
    del tmp_path
    for seed in range(6):
        draw(rig.photos / "small" / f"landmark {seed % 2}" / f"{seed}.png", seed % 2, seed)
    rig.index("small", rig.photos / "small")
    async with serving(rig) as (_, indexing):
        request = pb.CalibrateGalleryRequest(gallery="small")
        last = await ended(indexing, (await indexing.CalibrateGallery(request, timeout=20)).job)
    assert last.state == pb.JOB_STATE_FAILED
    assert "6 photos of 2 landmarks" in last.error
    assert "at least 40" in last.error


async def test_models_without_common_photos_are_not_calibrated_together_and_the_job_reports_it(
    rig: Rig,
) -> None:
    with closing(rig.client()) as client:
        settings = VectorStoreSettings(qdrant_port=rig.qdrant_port)
        collections, points = Collections(client, settings), PointStore(client, settings)
        for number, model in enumerate(("one", "two")):
            name = collections.to_write("apart", model, "ab" * 32, 4).name
            row = np.eye(4, dtype=np.float32)[number]
            payload = {"landmark": "a", "sha256": f"{number}", "path": f"{number}"}
            points.upsert(name, [Point(point_id("apart", "s", str(number)), row, payload)])
    async with serving(rig) as (_, indexing):
        request = pb.CalibrateGalleryRequest(gallery="apart")
        last = await ended(indexing, (await indexing.CalibrateGallery(request, timeout=20)).job)
    assert last.state == pb.JOB_STATE_FAILED
    assert "collections of all of one, two: index the same photos" in last.error


async def test_a_check_says_that_there_is_one_copy(rig: Rig) -> None:
    async with serving(rig) as (_, indexing):
        for repair in (False, True):
            asked = pb.CheckCopiesRequest(name=f"g__{MODEL}", repair=repair)
            last = await ended(indexing, (await indexing.CheckCopies(asked, timeout=20)).job)
            assert last.state == pb.JOB_STATE_SUCCEEDED, last.error
            assert last.outcome.startswith("there is one copy of g__")
        unknown = pb.CheckCopiesRequest(name="nothing__vgg16__00000000")
        assert isinstance(await error_of(indexing.CheckCopies(unknown, timeout=20)), NotFoundError)
        unclear = pb.CheckCopiesRequest(name=f"g__{MODEL}", delete_unclear=True)
        refused = await error_of(indexing.CheckCopies(unclear, timeout=20))
        assert isinstance(refused, InvalidInputError)
        request = pb.ListCollectionsRequest(gallery="g")
        [collection] = (await indexing.ListCollections(request, timeout=20)).collections
        assert not collection.HasField("copy_check")


async def test_a_map_is_drawn_kept_and_dropped_with_its_collection(rig: Rig) -> None:
    rig.index("m", rig.photos)
    async with serving(rig) as (_, indexing):
        asked = pb.GetMapRequest(gallery="m", model=MODEL)
        missing = await error_of(indexing.GetMap(asked, timeout=20))
        assert isinstance(missing, NotFoundError)
        assert f"landmarks map {MODEL} --gallery m" in str(missing)

        job = (await indexing.DrawMap(pb.DrawMapRequest(gallery="m", model=MODEL), timeout=20)).job
        last = await ended(indexing, job)
        assert last.state == pb.JOB_STATE_SUCCEEDED, last.error
        assert (last.kind, last.outcome.startswith("a map of")) == (pb.JOB_KIND_MAP, True)
        found = await indexing.GetMap(asked, timeout=20)
        [collection] = (
            await indexing.ListCollections(pb.ListCollectionsRequest(gallery="m"), timeout=20)
        ).collections
        assert collection.mapped
        assert collection.name == found.collection
        assert len(found.points) == found.collection_points == collection.points
        places = {}
        for point in found.points:
            assert 0 <= point.x <= 1
            assert 0 <= point.y <= 1
            places.setdefault(point.landmark, []).append((point.x, point.y))
        assert f"landmark {KINDS - 1}" in places
        # Photos of one landmark lie together.
        spread = np.mean([np.std(np.array(some), axis=0).mean() for some in places.values()])
        assert spread < 0.5 * np.std([place for some in places.values() for place in some])
        assert 0.8 < found.trustworthiness <= 1
        assert sum(point.in_no_cluster for point in found.points) < len(found.points) / 2

        drop = pb.DropCollectionRequest(name=collection.name, live_too=True)
        await indexing.DropCollection(drop, timeout=20)
        again = await error_of(indexing.GetMap(asked, timeout=20))
        assert isinstance(again, NotFoundError)


@pytest.mark.parametrize(
    ("gallery", "model", "kind", "said"),
    [
        ("nowhere", MODEL, NotFoundError, "nowhere"),
        ("g", "vgg16", NotFoundError, "nothing indexed with model 'vgg16'"),
        ("Bad Name", MODEL, InvalidInputError, "is not a name"),
        ("g", "Bad Model", InvalidInputError, "is not a name"),
    ],
)
async def test_a_gallery_that_is_not_indexed_can_be_neither_calibrated_nor_drawn(
    rig: Rig, gallery: str, model: str, kind: type[Exception], said: str
) -> None:
    async with serving(rig) as (_, indexing):
        calls = (
            indexing.CalibrateGallery(
                pb.CalibrateGalleryRequest(gallery=gallery, models=[model]), timeout=20
            ),
            indexing.DrawMap(pb.DrawMapRequest(gallery=gallery, model=model), timeout=20),
            indexing.GetMap(pb.GetMapRequest(gallery=gallery, model=model), timeout=20),
        )
        for call in calls:
            error = await error_of(call)
            assert isinstance(error, kind)
            assert said in str(error)


async def test_a_cancelled_job_of_a_gallery_can_be_resumed(rig: Rig) -> None:
    async with serving(rig) as (_, indexing):
        job = (await indexing.DrawMap(pb.DrawMapRequest(gallery="g", model=MODEL), timeout=20)).job
        cancelled = (
            await indexing.CancelIndexJob(pb.CancelIndexJobRequest(id=job.id), timeout=20)
        ).job
        assert cancelled.state in (pb.JOB_STATE_CANCELLED, pb.JOB_STATE_SUCCEEDED)
        resumed = await indexing.ResumeIndexJob(pb.ResumeIndexJobRequest(id=job.id), timeout=20)
        last = await ended(indexing, resumed.job)
        assert last.state == pb.JOB_STATE_SUCCEEDED, last.error
