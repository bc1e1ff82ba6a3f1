"""A collection is rebuilt with another encoder while searches and indexing continue."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import Landmarks
from landmarks.errors import InvalidInputError, NotFoundError
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.colour_encoder import digest_of, embedded
from tests.support.indexing_rig import MODEL, Rig
from tests.support.processes import eventually
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.integration


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A stack with one encoder, configured for a second, and thirty photos of three landmarks."""
    for name in ("valkey", "photos"):
        (tmp_path / name).mkdir()
    with running_valkey(tmp_path / "valkey") as valkey:
        made = Rig(tmp_path, valkey, tmp_path / "photos")
        made.has_newer = getattr(request, "param", True)
        for seed in range(30):
            draw_alike(made.photos / "abc"[seed % 3] / f"{seed}.png", seed % 3, seed)
        with made.qdrant(), made.encoder(), made.worker(sweep_seconds="0.5"):
            yield made


def draw_alike(path: Path, kind: int, seed: int) -> Path:
    """Draw a photo similar to the others of its kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 60, (16, 24, 3))
    pixels = noise + np.random.default_rng(1000 + kind).integers(0, 196, (1, 1, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@asynccontextmanager
async def client_of(rig: Rig) -> AsyncIterator[Landmarks]:
    settings = SearchSettings(
        qdrant_port=rig.qdrant_port,
        redis_url=rig.valkey.url,
        encoders={MODEL: rig.encoders},
        source_roots=[str(rig.photos)],
        search_port=0,
    )
    async with running(settings) as service:
        with Landmarks(f"127.0.0.1:{service.port}") as client:
            yield client


def ended(client: Landmarks, job: pb.IndexJob) -> pb.IndexJob:
    *_, last = client.watch(job.id)
    return last


def vectors_of(rig: Rig, collection: str) -> dict[str, np.ndarray]:
    with closing(rig.client()) as qdrant:
        found, _ = qdrant.scroll(collection, limit=1000, with_vectors=True)
    return {str(point.payload["path"]): np.array(point.vector) for point in found}


def live_of(client: Landmarks) -> pb.Collection:
    [live] = [one for one in client.collections("g") if one.live]
    return live


async def test_searches_never_fail_or_mix_encoders_while_a_collection_is_replaced(rig):
    before = rig.index("g", rig.photos).progress[0].collection
    async with client_of(rig) as client:
        await asyncio.to_thread(replace, rig, client, before)


def replace(rig: Rig, client: Landmarks, before: str) -> None:
    photo = (rig.photos / "a" / "0.png").read_bytes()
    digests: list[str] = []
    with rig.newer_encoder(seconds=0.2):
        job = client.reindex("g", MODEL, request_id="once")
        assert client.reindex("g", MODEL, request_id="once").id == job.id
        draw_alike(rig.photos / "a" / "new.png", 0, 99)
        later = None
        while not client.job(job.id).progress[0].listed or len(digests) < 20:
            digests.append(searched(client, photo))
        # Changes made meanwhile are applied too.
        client.delete("g", ids=[client.search(photo=photo, gallery="g").fused[1].point.id])
        later = client.index(str(rig.photos), gallery="g", models=[MODEL])
        while client.job(job.id).state not in (pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED):
            digests.append(searched(client, photo))
        assert ended(client, later).state == pb.JOB_STATE_SUCCEEDED
        # The search service caches briefly which collection is live.
        eventually(lambda: _seen(digests, searched(client, photo)) == digest_of(2), "it is live")
        digests += [searched(client, photo) for _ in range(5)]
        last = client.job(job.id)
        assert last.state == pb.JOB_STATE_SUCCEEDED, last.error
        live = live_of(client)
        assert f"promoted {live.name}" in last.outcome
        assert live.digest == digest_of(2)
        # The answers switch from the old collection to the new one, once.
        assert set(digests) == {digest_of(1), digest_of(2)}
        assert digests == sorted(digests, key=[digest_of(1), digest_of(2)].index)
        found = vectors_of(rig, live.name)
        for path, vector in found.items():
            expected = embedded((rig.photos / path).read_bytes(), 2).embedding.values
            assert float(vector @ np.array(expected)) > 0.9999
        # The new collection has what another job wrote meanwhile.
        expected = {f"{'abc'[seed % 3]}/{seed}.png" for seed in range(30)} | {"a/new.png"}
        assert set(found) == expected

        again = client.index(str(rig.photos), gallery="g", models=[MODEL])  # with the new encoder
        assert ended(client, again).progress[0].digest == digest_of(2)
        assert len(vectors_of(rig, live.name)) == 31

    assert client.roll_back("g", MODEL).live.name == before
    eventually(lambda: searched(client, photo) == digest_of(1), "the old one is back")


def _seen(digests: list[str], digest: str) -> str:
    digests.append(digest)
    return digest


def searched(client: Landmarks, photo: bytes) -> str:
    """Search, and return the digest of the encoder that answered; the photo finds itself."""
    answer = client.search(photo=photo, gallery="g")
    assert not answer.partial
    [ranking] = answer.rankings
    assert ranking.hits[0].score > 0.9999  # it would be lower if the encoders were mixed
    return ranking.digest


@pytest.mark.slow
async def test_an_encoder_that_finds_less_is_not_promoted_beyond_the_margin(rig):
    rig.index("g", rig.photos)
    queries = rig.photos / "queries.csv"
    lines = ["path,landmark,split"]
    for seed in range(100, 109):
        name = f"q{seed}.png"
        draw_alike(rig.photos / name, seed % 3, seed)
        lines.append(f"{name},{'abc'[seed % 3]},query")
    queries.write_text("\n".join(lines))

    def compare(client: Landmarks) -> None:
        before = live_of(client)
        with pytest.raises(InvalidInputError, match="margin"):
            client.reindex("g", MODEL, margin=2)
        with pytest.raises(InvalidInputError, match="does not exist"):
            client.reindex("g", MODEL, queries=str(rig.photos / "none.csv"))
        with pytest.raises(NotFoundError, match="nothing indexed"):
            client.reindex("other", MODEL)
        with rig.newer_encoder(revision=3):
            asked = {"queries": str(queries), "splits": ["query"]}
            job = ended(client, client.reindex("g", MODEL, margin=0.05, **asked))
            assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
            assert "not promoted: mAP@100 0." in job.outcome
            assert live_of(client) == before
            assert job.progress[0].encoded == 30
            # If the collection exists already, nothing is encoded again.
            job = ended(client, client.reindex("g", MODEL, margin=1, **asked))
            assert f"promoted {job.progress[0].collection}: mAP@100" in job.outcome
            assert (job.progress[0].listed, live_of(client).digest) == (0, digest_of(3))

    async with client_of(rig) as client:
        await asyncio.to_thread(compare, client)


@pytest.mark.slow
async def test_a_collection_that_would_lose_photos_is_not_promoted(rig):
    before = rig.index("g", rig.photos).progress[0].collection
    (rig.photos / "a" / "3.png").rename(rig.photos / "kept")

    def lose(client: Landmarks) -> None:
        with rig.newer_encoder():
            job = ended(client, client.reindex("g", MODEL))
            assert "not promoted: 1 photos" in job.outcome
            assert (job.progress[0].dead, live_of(client).name) == (1, before)
            (rig.photos / "kept").rename(rig.photos / "a" / "3.png")
            job = ended(client, client.retry_dead_letters(job.id))
            assert (job.progress[0].listed, job.progress[0].stored) == (30, 30)
            assert "promoted" in job.outcome
            assert live_of(client).digest == digest_of(2)

    async with client_of(rig) as client:
        await asyncio.to_thread(lose, client)


@pytest.mark.slow
async def test_a_photo_changed_since_it_was_indexed_does_not_restart_the_job(rig):
    rig.index("g", rig.photos)
    draw_alike(rig.photos / "a" / "0.png", 0, 500)

    def change(client: Landmarks) -> None:
        with rig.newer_encoder():
            job = ended(client, client.reindex("g", MODEL))
            assert (job.progress[0].listed, job.progress[0].encoded) == (30, 30)
            vector = vectors_of(rig, live_of(client).name)["a/0.png"]
            expected = embedded((rig.photos / "a/0.png").read_bytes(), 2).embedding.values
            assert float(vector @ np.array(expected)) > 0.9999

    async with client_of(rig) as client:
        await asyncio.to_thread(change, client)


@pytest.mark.slow
async def test_a_comparison_that_is_not_possible_fails_the_job(rig):
    rig.index("g", rig.photos)
    queries = rig.photos / "queries.csv"

    def compare(client: Landmarks) -> None:
        with rig.newer_encoder():
            queries.write_text(f"path,landmark\n{rig.photos}/a/0.png,a\n")
            job = ended(client, client.reindex("g", MODEL, queries=str(queries)))
            assert job.state == pb.JOB_STATE_FAILED
            assert "relative to its folder" in job.error
            assert job.progress[0].listed == 0  # reported before anything is encoded
            queries.write_text("path,landmark\na/0.png,elsewhere\n")
            job = ended(client, client.reindex("g", MODEL, queries=str(queries)))
            assert job.state == pb.JOB_STATE_FAILED
            assert "shows a landmark of" in job.error
            assert live_of(client).digest == digest_of(1)

    async with client_of(rig) as client:
        await asyncio.to_thread(compare, client)


@pytest.mark.parametrize("rig", [False], indirect=True, ids=["one encoder"])
async def test_without_another_encoder_reindexing_is_refused(rig):
    rig.index("g", rig.photos)

    def ask(client: Landmarks) -> None:
        job = ended(client, client.reindex("g", MODEL))
        assert job.state == pb.JOB_STATE_FAILED
        assert "LANDMARKS_ENCODERS" in job.error

    async with client_of(rig) as client:
        await asyncio.to_thread(ask, client)
