"""The page's JSON routes: the answers of gRPC, and every failure with its message."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import aiohttp
import pytest

from landmarks.client import AsyncLandmarks
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.source_roots import SourceRoots
from search_service.web.thumbnails import PointPhoto, Thumbnails
from tests.support.page_gallery import GALLERY as FILES
from tests.support.page_gallery import Files, picture
from tests.support.page_stack import Page
from tests.support.search_stack import GALLERY, LANDMARKS, PHOTOS_EACH, draw, photos

pytestmark = pytest.mark.integration

QUERY = draw("Atomium", 99)


async def read(answer: aiohttp.ClientResponse) -> tuple[int, dict[str, object]]:
    async with answer:
        return answer.status, await answer.json()


async def error(answer: aiohttp.ClientResponse) -> tuple[int, str, str]:
    status, body = await read(answer)
    said = body["error"]
    assert isinstance(said, dict)
    return status, said["kind"], said["message"]


async def test_a_search_is_passed_on_unchanged_and_answered_with_the_contracts_names(
    page: Page,
) -> None:
    asked = {
        "gallery": GALLERY,
        "limit": 3,
        "models": ["thumbnail"],
        "where": {"landmark": ["Taj Mahal", "Atomium"]},
        "box": [0.0, 0.0, 1.0, 0.5],
    }
    status, answer = await read(await page.search(json.dumps(asked), QUERY))
    assert status == 200
    [ranking] = answer["rankings"]
    assert ranking["model"] == "thumbnail"
    assert len(ranking["hits"]) == 3
    assert {hit["point"]["landmark"] for hit in ranking["hits"]} <= {"Taj Mahal", "Atomium"}
    assert answer["verdict"]["outcome"] == "OUTCOME_UNCALIBRATED"
    assert "confidence" not in answer["verdict"]


async def test_examples_and_points_are_searched_by(page: Page) -> None:
    first, second = str(photos()[0].id), str(photos()[-1].id)
    by_point = {"gallery": GALLERY, "point_id": first}
    status, answer = await read(await page.search(json.dumps(by_point)))
    assert (status, len(answer["fused"])) == (200, 10)
    examples = {"gallery": GALLERY, "positive": [first], "negative": [second]}
    status, answer = await read(await page.search(json.dumps(examples), QUERY))
    assert answer["fused"][0]["point"]["landmark"] == "Atomium"


async def test_the_photo_of_a_search_is_neither_stored_nor_logged(
    page: Page, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "what-only-the-photo-holds"
    asked = json.dumps({"gallery": GALLERY})
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/nowhere")  # writing to it fails
        status, _ = await read(await page.search(asked, QUERY + secret.encode() * 30_000))
        _, kind, _ = await error(await page.search(asked, secret.encode() * 30_000))
    assert (status, kind) == (200, "InvalidPhotoError")
    assert secret not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ('{"gallery": "nowhere"}', 404, "gallery 'nowhere' does not exist"),
        ('{"gallery": "colours", "limit": 0}', 400, "limit"),
        ('{"gallery": "colours", "limit": 3000000000}', 400, "limit"),
        ('{"gallery": "colours", "offset": -1}', 400, "offset"),
        ('{"gallery": "colours", "box": [0.5, 0, 0.4, 1]}', 400, "no part of a photo"),
        ('{"gallery": "colours", "fusion": "magic"}', 400, "there is no fusion 'magic'"),
        ('{"gallery": "colours", "magic": 1}', 400, "magic"),
        ('{"gallery": 7}', 400, "gallery"),
        ("{", 400, "JSON"),
    ],
)
async def test_an_invalid_search_is_reported(
    page: Page, asked: str, status: int, said: str
) -> None:
    found, _, message = await error(await page.search(asked, QUERY))
    assert (found, said in message) == (status, True), message


async def test_an_invalid_form_is_reported(page: Page) -> None:
    headers = {"Origin": page.origin}
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=y", b"x"),
        ("text/plain", b"x"),
    ):
        sent = {**headers, "Content-Type": kind}
        answer = await page.http.post("/api/search", data=body, headers=sent)
        assert (await error(answer))[:2] == (400, "InvalidInputError")
    assert (await error(await page.search("", None)))[0] == 400


async def test_busy_encoders_are_reported_with_a_retry_delay(page: Page) -> None:
    for encoder in page.encoders.values():
        encoder.full = True
    answer = await page.search(json.dumps({"gallery": GALLERY}), QUERY)
    assert answer.headers["Retry-After"] == "3"
    assert (await error(answer))[:2] == (429, "OverloadedError")


async def test_an_encoder_that_is_gone_leaves_a_partial_answer_with_the_reason(page: Page) -> None:
    await page.encoders["histogram"].stop()
    status, answer = await read(await page.search(json.dumps({"gallery": GALLERY}), QUERY))
    assert (status, answer["partial"]) == (200, True)
    [failure] = answer["failures"]
    assert failure["model"] == "histogram"
    assert failure["status"]["message"]


async def test_samples_are_of_different_landmarks_and_another_seed_gives_others(page: Page) -> None:
    path = f"/api/galleries/{GALLERY}/samples"
    status, first = await read(await page.http.get(path))
    assert status == 200
    assert {point["landmark"] for point in first["points"]} == set(LANDMARKS)
    assert (await read(await page.http.get(path)))[1] == first
    _, others = await read(await page.http.get(f"{path}?seed=1"))
    assert others != first
    assert (await error(await page.http.get(f"{path}?count=x")))[0] == 400
    assert (await error(await page.http.get("/api/galleries/nowhere/samples")))[0] == 404


async def test_values_points_models_and_collections_are_read(page: Page) -> None:
    _, values = await read(await page.http.get(f"/api/galleries/{GALLERY}/values"))
    counts = {one["value"]["text"]: one["points"] for one in values["values"]}
    assert counts == dict.fromkeys(LANDMARKS, str(PHOTOS_EACH))
    point = str(photos()[0].id)
    _, read_point = await read(await page.http.get(f"/api/galleries/{GALLERY}/points/{point}"))
    assert read_point["point"]["id"] == point
    _, models = await read(await page.http.get("/api/models"))
    assert [model["ready"] for model in models["models"]] == [True, True]
    _, collections = await read(await page.http.get("/api/collections"))
    assert {one["gallery"] for one in collections["collections"]} >= {GALLERY, FILES}


async def test_missing_maps_jobs_and_collections_are_reported(page: Page) -> None:
    path = f"/api/galleries/{GALLERY}/models/thumbnail/roll-back"
    assert (await error(await page.post(path, {})))[:2] == (404, "NotFoundError")
    path = "/api/collections/nothing/promote"
    assert (await error(await page.post(path, {})))[:2] == (400, "InvalidInputError")
    # There is no Redis here.
    assert (await error(await page.http.get("/api/jobs")))[:2] == (503, "UnavailableError")
    assert (await error(await page.http.get("/api/jobs/watch")))[0] == 400


async def test_thumbnails_are_cached_up_to_a_number_of_bytes(files: Files) -> None:
    made = Thumbnails(SourceRoots([str(files.root)]), PhotoLimits(1_000_000, 1_000_000), 60_000)
    good = files.root / "good.jpg"
    try:
        for number in range(20):  # each has another cache key
            photo = PointPhoto(f"file://{good}", "not this file's", str(number))
            assert not (await made.thumbnail(photo, 320)).is_indexed
        assert made.cached_bytes == 0
        for number in range(8):
            copy = files.root / f"copy-{number}.jpg"
            copy.write_bytes(picture())
            await made.thumbnail(PointPhoto(f"file://{copy}", _sha256(copy), copy.name), 320)
            copy.unlink()
        assert 0 < made.cached_bytes <= 60_000
    finally:
        made.close()


def _sha256(path: Path) -> str:
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()


async def test_everything_the_page_does_exists_in_grpc(page: Page) -> None:
    """The routes hold a client and nothing else: no store, no broker."""
    import search_service.web as package

    folder = Path(str(package.__file__)).parent
    for file in folder.glob("*.py"):
        text = file.read_text()
        for other in ("landmarks.vector_store", "landmarks.job_store", "qdrant_client", "redis"):
            assert f"import {other}" not in text
            assert f"from {other}" not in text
    assert AsyncLandmarks.__module__ == "landmarks.client.aio"
