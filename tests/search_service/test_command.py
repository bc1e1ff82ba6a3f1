"""The command against a real service: what it prints, what it asks, what it deletes."""

from __future__ import annotations

import asyncio
import json
import unicodedata
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from click.testing import Result
from typer.testing import CliRunner

from landmarks.client import AsyncLandmarks
from landmarks.errors import LineageError, NotFoundError
from landmarks.job_store.records import ChunkOutcome, DeadLetter, Lease, Listed
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec, JobKind
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import LISTING
from landmarks.photos.entry import Entry
from landmarks.photos.file_types import SkipReason
from landmarks.photos.listing_counts import LabelCounts, Skipped
from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import Point, point_id
from landmarks_tools.cli.app import app
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.search_encoder import MODELS, digest_of
from tests.support.search_stack import LANDMARKS, Qdrant, fill
from tests.support.stores import unit_rows
from tests.support.valkey import Valkey, running_valkey

pytestmark = pytest.mark.integration

TWO_MODELS = tuple(MODELS)[:2]
HOSTILE = "a\x1b]0;title\x07\x9b31mb\r\nc\u202egpj.exe"


@dataclass(frozen=True)
class Served:
    """A service, and what it stores jobs in."""

    target: str
    jobs: JobStore
    gallery: str

    async def command(self, *arguments: str, answer: str = "") -> Result:
        """Run the command, with `answer` as what the person types."""
        given = [*arguments, "--server", self.target]
        return await asyncio.to_thread(CliRunner().invoke, app, given, input=answer)

    def client(self) -> AsyncLandmarks:
        return AsyncLandmarks(self.target)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as running_one:
        yield running_one


@pytest.fixture
async def served(qdrant: Qdrant, valkey: Valkey) -> AsyncIterator[Served]:
    settings = SearchSettings.load(
        {
            "qdrant_port": qdrant.settings.qdrant_port,
            "search_port": 0,
            "page_port": "",
            "redis_url": valkey.url,
        }
    )
    jobs = JobStore(connect_redis(valkey.url), valkey.url)
    async with running(settings) as service:
        yield Served(f"127.0.0.1:{service.port}", jobs, f"g{uuid.uuid4().hex[:12]}")
    jobs.close()


def ended_job(jobs: JobStore, gallery: str, paths: list[str], dead: list[str]) -> str:
    """Record a job of two models, both of which fail at the `dead` paths; return its id."""
    job = jobs.create(IndexSpec(gallery, "/photos", TWO_MODELS))
    entries = [Entry(path, f"file:///photos/{path}") for path in paths]
    jobs.end_listing(_listed(jobs, job.id, entries))
    for model in TWO_MODELS:
        lease = jobs.begin(job.id, f"{model}/0", 60)
        assert lease is not None
        letters = tuple(
            DeadLetter(model, one, f"damaged {HOSTILE}", datetime(2026, 1, 1, tzinfo=UTC), 1)
            for one in entries
            if one.path in dead
        )
        stored = len(paths) - len(letters)
        jobs.end_chunk(lease, model, ChunkOutcome(stored, 0, 0, letters, stored))
    return job.id


def _listed(jobs: JobStore, job_id: str, entries: list[Entry]) -> Lease:
    listing = jobs.begin(job_id, LISTING, 60)
    assert listing is not None
    jobs.add_chunk(listing, [Listed(one) for one in entries], TWO_MODELS)
    return listing


def controls(text: str) -> list[str]:
    odd = [one for one in text if one != "\n" and unicodedata.category(one) in ("Cc", "Zl", "Zp")]
    return [*odd, *(one for one in text if one in "\u202d\u202e")]


async def test_whatever_names_hold_the_command_sends_a_terminal_no_control_characters(
    served: Served, qdrant: Qdrant
) -> None:
    client = connect(qdrant.settings)
    collections, store = Collections(client, qdrant.settings), PointStore(client, qdrant.settings)
    model = TWO_MODELS[0]
    made = collections.create_beside(
        served.gallery, model, digest_of(model, 1), MODELS[model][0]
    ).name
    ids = [point_id(served.gallery, "s", str(n)) for n in range(3)]
    payload = {"uri": f"file:///{HOSTILE}", "path": HOSTILE, "landmark": HOSTILE, "source": "s"}
    rows = unit_rows(3, MODELS[model][0])
    store.upsert(made, [Point(*one, payload) for one in zip(ids, rows, strict=True)])
    collections.promote(made)
    client.close()
    job = ended_job(served.jobs, served.gallery, [HOSTILE, "b"], [HOSTILE])
    failed = served.jobs.create(IndexSpec(served.gallery, f"/photos/{HOSTILE}", (model,)))
    served.jobs.fail(failed.id, f"cannot read {HOSTILE}")

    searching = ("search", "--gallery", served.gallery, "--point", str(ids[0]))
    for arguments in (
        searching,
        ("jobs",),
        ("jobs", job, "--dead-letters"),
        ("jobs", failed.id),
        ("collections",),
    ):
        printed = await served.command(*arguments)
        assert printed.exit_code == 0, printed.output
        assert not controls(printed.output), arguments
        data = await served.command(*arguments, "--json")
        assert not controls(data.stdout), arguments
        json.loads(data.stdout)
    shown = await served.command(*searching)
    assert r"a\x1b]0;title\x07\x9b31mb\x0d\x0ac\u202egpj.exe" in shown.stdout
    answer = json.loads((await served.command(*searching, "--json")).stdout)
    assert answer["rankings"][0]["hits"][0]["point"]["landmark"] == HOSTILE


async def test_a_photo_that_fails_with_two_models_is_one_photo(served: Served) -> None:
    paths = [f"{n}.jpg" for n in range(7)]
    job = ended_job(served.jobs, served.gallery, paths, paths[:3])
    async with served.client() as client:
        found = await client.job(job)
    assert (found.photos.listed, found.photos.done, found.photos.dead) == (7, 7, 3)
    assert [one.dead for one in found.progress] == [3, 3]
    shown = (await served.command("jobs", job)).stdout
    assert "3 photos cannot be indexed" in shown
    [line] = [one for one in (await served.command("jobs")).stdout.splitlines() if job in one]
    assert line.split()[3:5] == ["7/7", "3"]


async def test_a_job_says_what_it_skipped_and_a_dry_run_its_labels(served: Served) -> None:
    rules = {"label": "last", "ignore": ("private", "export*"), "raw_too": True}
    job = served.jobs.create(
        IndexSpec(served.gallery, "/photos", TWO_MODELS, dry_run=True, **rules)
    )
    skipped = (
        Skipped(SkipReason.VIDEO, 1200, 0, "a.mov"),
        Skipped(SkipReason.SYSTEM, 0, 2, f"x/{HOSTILE}"),
    )
    served.jobs.set_seen(job.id, skipped, LabelCounts(203, 4, (("Taj", 7), (HOSTILE, 1))))
    shown = (await served.command("jobs", job.id)).stdout
    assert not controls(shown)
    assert "skipped: 1,200 videos, 2 system folders" in shown
    assert "203 labels, 4 photos without one" in shown
    assert ["Taj", "7"] in [line.split() for line in shown.splitlines()]
    assert "and 201 more labels" in shown
    answer = json.loads((await served.command("jobs", job.id, "--json")).stdout)
    assert answer["skipped"][0] == {
        "reason": "video",
        "files": "1200",
        "folders": "0",
        "example": "a.mov",
    }
    assert answer["labels"]["most"][0] == {"label": "Taj", "photos": "7"}
    spec = answer["spec"]
    assert (spec["label"], spec["ignore"], spec["raw_too"]) == (
        "last",
        ["private", "export*"],
        True,
    )


async def test_a_rule_for_labels_that_says_nothing_is_refused_with_what_would(
    served: Served,
) -> None:
    index = ("index", "/photos", "-g", served.gallery)
    for rule, said in (
        (("--label", "second"), "'second' cannot be the rule for labels"),
        (("--label", "{year}"), "a pattern has {landmark} once"),
        (("--ignore", "a/b"), "'a/b' cannot be the name of folders to ignore"),
    ):
        refused = await served.command(*index, *rule)
        assert refused.exit_code != 0
        assert said in " ".join(refused.output.split())


async def test_points_are_counted_before_anybody_is_asked_to_delete_them(
    served: Served, qdrant: Qdrant
) -> None:
    fill(qdrant.settings, served.gallery, TWO_MODELS, each=2)
    where = ("delete", "-g", served.gallery, "--where", f"landmark={LANDMARKS[0]}")
    refused = await served.command(*where, answer="n\n")
    assert refused.exit_code == 1
    for model in TWO_MODELS:
        assert f"{served.gallery}__{model}__{digest_of(model, 1)[:8]}: 2 points" in refused.output
    async with served.client() as client:
        for selection in ({"source": "test"}, {"source": "test", "path_prefix": LANDMARKS[1]}):
            counts = await client.count_points(served.gallery, **selection)  # type: ignore[arg-type]
            assert {one.points for one in counts} == {2 if len(selection) > 1 else 10}
        ids = [str(point_id(served.gallery, "test", f"{LANDMARKS[0]}/{n}.png")) for n in range(5)]
        counts = await client.count_points(served.gallery, ids=ids, models=TWO_MODELS[:1])
        assert [one.points for one in counts] == [2]
        assert {one.points for one in await client.collections(served.gallery)} == {10}
    done = await served.command(*where, "--json", answer="y\n")
    deleted = json.loads(done.stdout[done.stdout.index("[") :])  # after what the person typed
    assert [one["points"] for one in deleted] == ["2", "2"]


async def test_a_gallery_is_deleted_whole_after_its_points_were_counted(
    served: Served, qdrant: Qdrant
) -> None:
    fill(qdrant.settings, served.gallery, TWO_MODELS, each=2)
    fill(qdrant.settings, served.gallery, TWO_MODELS[:1], each=1, revision=2)
    other = f"{served.gallery}-other"
    fill(qdrant.settings, other, TWO_MODELS[:1], each=1)
    everything = ("delete", "-g", served.gallery, "--all")
    refused = await served.command(*everything, answer="n\n")
    assert refused.exit_code == 1
    assert refused.output.count(": 10 points") == 2
    assert refused.output.count(": 5 points") == 1
    async with served.client() as client:
        assert len(await client.collections(served.gallery)) == 3
        job = served.jobs.create(IndexSpec(served.gallery, "/photos", TWO_MODELS))
        with pytest.raises(LineageError, match=rf"{job.id}.*--cancel"):
            await client.drop_gallery(served.gallery)
        served.jobs.cancel(job.id)
        # One that only compares copies, as the system starts it by itself, holds nobody up.
        served.jobs.create(IndexSpec(served.gallery, "a", TWO_MODELS[:1], kind=JobKind.CHECK))
        assert (await served.command(*everything, answer="y\n")).exit_code == 0
        assert list(await client.collections(served.gallery)) == []
        assert len(await client.collections(other)) == 1
        with pytest.raises(NotFoundError):
            await client.drop_gallery(served.gallery)


async def test_a_live_collection_is_dropped_once_it_is_confirmed(
    served: Served, qdrant: Qdrant
) -> None:
    fill(qdrant.settings, served.gallery, TWO_MODELS[:1], each=2)
    name = f"{served.gallery}__{TWO_MODELS[0]}__{digest_of(TWO_MODELS[0], 1)[:8]}"
    refused = await served.command("collections", "--drop", name, answer="n\n")
    assert refused.exit_code == 1
    assert f"{name} is live, with 10 points" in refused.output
    async with served.client() as client:
        assert len(await client.collections(served.gallery)) == 1
        assert (await served.command("collections", "--drop", name, "--yes")).exit_code == 0
        assert list(await client.collections(served.gallery)) == []
