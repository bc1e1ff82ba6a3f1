"""Keys that are limited to galleries: every method, every route of the page, and lists."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from landmarkapi.indexing.v1 import indexing_pb2 as ipb
from landmarkapi.search.v1 import search_pb2 as spb
from landmarks.client import AsyncLandmarks
from landmarks.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from landmarks.job_store.records import JobState
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.rpc.channel import open_aio_channel
from landmarks.security import api_keys
from landmarks.security.api_keys import Permission
from search_service.authorization import (
    REQUESTED_GALLERIES,
    REQUIRED_PERMISSIONS,
    Authorizer,
)
from search_service.web import job_routes, photo_routes, search_routes
from tests.support.page_stack import Page, page_running
from tests.support.ports import free_port
from tests.support.search_stack import GALLERY, Qdrant, draw, fill
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.integration

OTHER = "secret-gallery"
POINT = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Limited:
    """A service with two galleries and a job of each, and a key that may write to one of them."""

    page: Page
    address: str
    keys: Path
    key: str
    jobs: JobStore
    own_job: str
    other_job: str

    def client(self) -> AsyncLandmarks:
        return AsyncLandmarks(self.address, api_key=self.key)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobStore]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        store = JobStore(connect_redis(valkey.url), valkey.url)
        store.url = valkey.url  # type: ignore[attr-defined]
        yield store
        store.close()


@pytest.fixture
async def limited(qdrant: Qdrant, jobs: JobStore, tmp_path: Path) -> AsyncIterator[Limited]:
    fill(qdrant.settings, OTHER, ("thumbnail",), each=1)
    file = tmp_path / "keys"
    key = api_keys.create(file, "museum", Permission.WRITE, [GALLERY])
    ids = [jobs.create(IndexSpec(name, "/photos", ("thumbnail",))).id for name in (GALLERY, OTHER)]
    async with page_running(
        qdrant.settings,
        [],
        api_keys_file=file,
        redis_url=jobs.url,  # type: ignore[attr-defined]
        search_port=(port := free_port()),
    ) as page:
        yield Limited(page, f"127.0.0.1:{port}", file, key, jobs, *ids)


def _methods() -> Iterator[tuple[str, str, type[Message]]]:
    for module in (spb, ipb):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                request = GetMessageClass(method.input_type)
                yield f"/{service.full_name}/{method.name}", method.name, request


def _about(request: type[Message], gallery: str, job: str) -> Message:
    """Return a request about a gallery, wherever its message names one, or about a job."""
    made = request()
    fields = request.DESCRIPTOR.fields_by_name
    if "gallery" in fields:
        made.gallery = gallery
    if "name" in fields:
        made.name = f"{gallery}__thumbnail__00000000"
    if "selection" in fields:
        made.selection.gallery = gallery
    if "spec" in fields:
        made.spec.gallery = gallery
    if "searches" in fields:
        made.searches.add(gallery=GALLERY)
        made.searches.add(gallery=gallery)
    for name in ("id", "job_id"):
        if name in fields:
            setattr(made, name, job)
    return made


async def _answer(channel: grpc.aio.Channel, method: str, request: Message) -> tuple[str, str]:
    call = channel.unary_stream(method, request_serializer=type(request).SerializeToString)
    try:
        await call(request, timeout=20).read()
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


def test_every_method_that_requires_a_key_says_which_galleries_a_request_is_about() -> None:
    named = {
        name
        for methods in REQUIRED_PERMISSIONS.values()
        for name, needed in methods.items()
        if needed is not None
    }
    assert set(REQUESTED_GALLERIES) == named
    for _, name, request in _methods():
        asked = set(REQUESTED_GALLERIES[name](_about(request, OTHER, "job")))
        fields = set(request.DESCRIPTOR.fields_by_name)
        names_one = {"gallery", "name", "spec", "searches", "selection"} & fields
        lists = name.startswith("List")
        assert (OTHER in asked) is (bool(names_one) and not lists), name


def test_a_method_of_tomorrow_is_refused_to_a_limited_key(tmp_path: Path) -> None:
    key = api_keys.create(tmp_path / "keys", "museum", Permission.WRITE, [GALLERY])
    sent = {"authorization": f"Bearer {key}"}
    authorizer = Authorizer(tmp_path / "keys", 0, 1)
    with pytest.raises(ForbiddenError, match="limited to galleries"):
        authorizer.admit("/landmarkapi.search.v1.SearchService/Forgotten", sent)


async def test_each_method_refuses_a_gallery_that_the_key_may_not_use(limited: Limited) -> None:
    async with open_aio_channel(limited.address, api_key=limited.key) as channel:
        for method, name, request in _methods():
            if name == "ListModels":
                continue
            code, why = await _answer(channel, method, _about(request, OTHER, limited.other_job))
            if {"id", "job_id"} & set(request.DESCRIPTOR.fields_by_name):
                unknown = await _answer(channel, method, _about(request, OTHER, "none"))
                assert (code, why.replace(limited.other_job, "none")) == unknown, name
                assert code == "NOT_FOUND"
            else:
                assert code == "PERMISSION_DENIED", name
                assert f"'museum' may not use the gallery '{OTHER}', only {GALLERY}" in why
    assert limited.jobs.get(limited.other_job).state is JobState.QUEUED


async def test_a_limited_key_may_do_everything_in_its_gallery(limited: Limited) -> None:
    async with open_aio_channel(limited.address, api_key=limited.key) as channel:
        for method, name, request in _methods():
            if name in ("ResumeIndexJob", "RetryDeadLetters", "WatchIndexJob", "BatchSearch"):
                continue
            if name == "DropGallery":  # which would do it
                continue
            code, why = await _answer(channel, method, _about(request, GALLERY, limited.own_job))
            assert code != "PERMISSION_DENIED", (name, why)
    async with limited.client() as client:
        assert (await client.search(photo=draw("Atomium", 99), gallery=GALLERY)).fused
        assert (await client.job(limited.own_job)).state == ipb.JOB_STATE_CANCELLED


async def test_lists_show_only_the_galleries_of_the_key(limited: Limited) -> None:
    everything = api_keys.create(limited.keys, "all", Permission.READ)
    async with limited.client() as client:
        assert {one.gallery for one in await client.collections()} == {GALLERY}
        found = [job async for job in client.jobs()]
        assert limited.own_job in {job.id for job in found}
        assert {job.spec.gallery for job in found} == {GALLERY}
        all_of_them = client.on_behalf_of(everything)
        assert {GALLERY, OTHER} <= {one.gallery for one in await all_of_them.collections()}
        assert limited.other_job in {job.id async for job in all_of_them.jobs()}


async def test_an_error_about_an_unknown_gallery_names_no_gallery_of_others(
    limited: Limited,
) -> None:
    new = api_keys.create(limited.keys, "new", Permission.READ, ["nothing-yet", GALLERY])
    async with AsyncLandmarks(limited.address, api_key=new) as client:
        with pytest.raises(NotFoundError) as raised:
            await client.search(photo=draw("Atomium", 99), gallery="nothing-yet")
    assert GALLERY in str(raised.value)
    assert OTHER not in str(raised.value)


async def test_a_stream_ends_when_its_key_is_revoked(limited: Limited) -> None:
    other = api_keys.create(limited.keys, "watcher", Permission.READ)
    async with AsyncLandmarks(limited.address, api_key=other) as client:
        stream = client.watch(limited.own_job)
        assert (await anext(stream)).id == limited.own_job
        api_keys.revoke(limited.keys, "watcher")
        with pytest.raises(UnauthenticatedError):
            async with asyncio.timeout(60):  # only keeps a broken test from hanging
                await anext(stream)


async def test_each_route_of_the_page_refuses_a_gallery_that_the_key_may_not_use(
    limited: Limited,
) -> None:
    page = limited.page
    session = await (await page.post("/api/session", {"key": limited.key})).json()
    assert session["galleries"] == [GALLERY]
    bodies: dict[str, object] = {
        "/api/jobs": {"source": "/photos", "gallery": OTHER},
        f"/api/galleries/{OTHER}/drop": {"dry_run": True},
        "calibrate": {},
    }
    refused = 0
    for module in (job_routes, photo_routes, search_routes):
        for route in module.routes():
            path = route.path.replace("{gallery}", OTHER).replace("{point}", POINT)
            path = path.replace("{name}", f"{OTHER}__thumbnail__00000000")
            path = path.replace("{model}", "thumbnail")
            if (route.method, path) in {
                ("GET", "/api/jobs"),
                ("GET", "/api/jobs/watch"),
                ("GET", "/api/collections"),
                ("GET", "/api/models"),
            }:
                continue
            if "{id}" in path:
                path = path.replace("{id}", limited.other_job)
                path = path.replace("{change:cancel|resume|retry}", "cancel")
            if path == "/api/search":
                answer = await page.search(f'{{"gallery": "{OTHER}"}}', draw("Atomium", 99))
            elif route.method == "GET":
                answer = await page.http.get(path)
            else:
                answer = await page.post(path, bodies.get(path, {}))
            expected = 404 if limited.other_job in path else 403
            assert answer.status == expected, (route.method, path, await answer.text())
            refused += 1
    assert refused >= 14
    for path, key in (("/api/jobs", "jobs"), ("/api/collections", "collections")):
        assert OTHER not in str((await (await page.http.get(path)).json())[key])
        answer = await page.http.get(f"{path}?gallery={OTHER}")
        assert answer.status == 403
    watched = await page.http.get(f"/api/jobs/watch?id={limited.other_job}")
    text = await watched.text()
    assert "there is no job" in text
    assert "thumbnail" not in text


def test_a_job_list_of_several_galleries_comes_in_whole_pages(jobs: JobStore) -> None:
    names = [f"g{uuid.uuid4().hex[:8]}" for _ in range(3)]
    ids = [jobs.create(IndexSpec(one, "/photos", ("a",))).id for one in names * 3]
    found: list[str] = []
    token = ""
    while True:
        page, token = jobs.page("", 2, token, names[:2])
        found += [job.id for job in page]
        if not token:
            break
    assert sorted(found) == sorted(id_ for n, id_ in enumerate(ids) if n % 3 < 2)
