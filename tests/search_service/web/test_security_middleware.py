"""Requests that the page refuses, and the headers of every response."""

from __future__ import annotations

import io
from pathlib import Path

import aiohttp
import pytest

import search_service.web
from landmarks.errors import ConfigurationError
from tests.support.page_stack import Page, page_running
from tests.support.ports import free_port
from tests.support.search_stack import GALLERY, Qdrant, draw

pytestmark = pytest.mark.integration

PATHS = ["/", "/static/main.js", "/api/collections", "/nothing", "/static/nothing.js"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_response_has_the_security_headers(page: Page, path: str) -> None:
    async with page.http.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_the_page_refers_only_to_its_own_files_and_has_no_inline_script(page: Page) -> None:
    text = await (await page.http.get("/")).text()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<style" not in text
    assert " style=" not in text
    assert text.count("<script") == text.count('<script type="module" src="/static/')


async def test_every_module_is_preloaded(page: Page) -> None:
    text = await (await page.http.get("/")).text()
    modules = Path(search_service.web.__file__).parent.glob("static/*.js")
    missing = [one.name for one in modules if f'href="/static/{one.name}"' not in text]
    assert missing == ["main.js"]


async def test_a_file_is_sent_again_only_when_it_has_changed(page: Page) -> None:
    first = await page.http.get("/static/main.js")
    again = await page.http.get("/static/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status, again.status) == (200, 304)
    assert first.content_type == "text/javascript"


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e%2fserver.py", "/static/..%2f..%2fserver.py"]
)
async def test_no_other_file_is_served(page: Page, path: str) -> None:
    url = aiohttp.client.URL(f"{page.origin}{path}", encoded=True)
    assert (await page.http.get(url)).status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:{port}", 200),
        ("127.0.0.1:{port}", 200),
        ("[::1]:{port}", 200),
        ("192.168.1.7:{port}", 200),
        ("rebound.example:{port}", 403),
        ("localhost.rebound.example", 403),
        ("127.0.0.1.rebound.example", 403),
        ("[::1", 403),
    ],
)
async def test_a_host_name_that_could_be_rebound_to_this_address_is_refused(
    page: Page, host: str, status: int
) -> None:
    headers = {"Host": host.format(port=page.port)}
    async with page.http.get("/api/collections", headers=headers) as answer:
        assert answer.status == status
        if status == 403:
            assert "LANDMARKS_PAGE_HOSTS" in (await answer.json())["error"]["message"]


async def test_an_allowed_host_name_is_served(qdrant: Qdrant) -> None:
    async with page_running(
        qdrant.settings, [], page_hosts="photos.example, Other.example"
    ) as page:
        for name in ("photos.example", "other.example:8080"):
            assert (await page.http.get("/", headers={"Host": name})).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 404),  # the call is made; the gallery does not exist
        ({"Origin": "own"}, 404),
    ],
)
async def test_only_the_page_itself_may_change_anything(
    page: Page, headers: dict[str, str], status: int
) -> None:
    sent = {name: page.origin if value == "own" else value for name, value in headers.items()}
    path = "/api/galleries/nowhere/calibrate"
    async with page.http.post(path, json={}, headers=sent) as answer:
        assert answer.status == status


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
async def test_another_site_may_link_to_the_page_but_not_embed_it(
    page: Page, site: str, mode: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert (await page.http.get("/api/collections", headers=headers)).status == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_content_types_that_another_sites_form_could_send_are_refused(
    page: Page, kind: str
) -> None:
    headers = {"Origin": page.origin, "Content-Type": kind}
    path = "/api/galleries/nowhere/calibrate"
    async with page.http.post(path, data=b"{}", headers=headers) as answer:
        assert answer.status == 400
        assert "application/json" in (await answer.json())["error"]["message"]


async def test_nothing_is_changed_by_a_get(page: Page) -> None:
    for path in ("calibrate", "models/thumbnail/roll-back"):
        assert (await page.http.get(f"/api/galleries/{GALLERY}/{path}")).status == 405


async def test_unknown_fields_and_wrong_types_are_named(page: Page) -> None:
    async with await page.post("/api/jobs", {"source": 7, "gallery": "g", "sauce": 1}) as answer:
        message = (await answer.json())["error"]["message"]
    assert answer.status == 400
    assert "source" in message
    assert "sauce" in message


async def test_an_upload_over_the_cap_is_refused(page: Page) -> None:
    asked = f'{{"gallery": "{GALLERY}"}}'
    async with await page.search(asked, bytes(1_000_001)) as answer:
        assert answer.status == 400
        assert "bytes, which is the limit" in (await answer.json())["error"]["message"]
    headers = {"Origin": page.origin, "Content-Type": "application/json"}
    async with page.http.post(
        "/api/jobs", data=io.BytesIO(bytes(3_000_000)), headers=headers
    ) as answer:
        assert answer.status == 413
    async with await page.search(asked, draw("Atomium", 99)) as answer:
        assert answer.status == 200


async def test_a_port_in_use_is_reported(qdrant: Qdrant) -> None:
    async with page_running(qdrant.settings, []) as page:
        with pytest.raises(ConfigurationError, match="LANDMARKS_PAGE_PORT"):
            async with page_running(qdrant.settings, [], page_port=page.port):
                pass


@pytest.mark.parametrize("off", ["", "-1", " "])
async def test_without_a_port_there_is_no_page(off: str) -> None:
    from search_service.server import running
    from search_service.settings import SearchSettings

    asked = {"search_port": 0, "qdrant_port": free_port(), "page_port": off}
    async with running(SearchSettings.load(asked)) as service:
        assert service.page_port is None
