"""The page's sessions: keys in a cookie, and rate limits of the page."""

from __future__ import annotations

import asyncio
import ssl
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest
from playwright.sync_api import Browser, expect

from landmarks.probe import is_serving
from landmarks.security import api_keys
from landmarks.security.api_keys import Permission
from search_service.server import running as service_running
from search_service.settings import SearchSettings
from tests.support.browser import BOUND_MS
from tests.support.certificates import Authority, served_serial
from tests.support.page_gallery import Files
from tests.support.page_stack import Page, page_running
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.search_stack import GALLERY, Qdrant, draw

pytestmark = pytest.mark.integration

READ, WRITE = Permission.READ, Permission.WRITE
GUARDED = [
    "/api/models",
    "/api/jobs",
    "/api/jobs/watch?id=x",
    "/api/collections",
    f"/api/galleries/{GALLERY}/samples",
    f"/photos/{GALLERY}/00000000-0000-0000-0000-000000000000/thumbnail",
    f"/photos/{GALLERY}/00000000-0000-0000-0000-000000000000/original",
    "/api/nothing",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


async def log_in(page: Page, key: str, origin: str = "") -> aiohttp.ClientResponse:
    headers = {"Origin": origin or page.origin}
    return await page.http.post("/api/session", json={"key": key}, headers=headers)


@pytest.mark.parametrize("path", GUARDED)
async def test_without_a_key_only_the_pages_own_files_are_served(
    qdrant: Qdrant, file: Path, path: str
) -> None:
    api_keys.create(file, "app", READ)
    async with page_running(qdrant.settings, [], api_keys_file=file) as page:
        for own in ("/", "/static/main.js"):
            assert (await page.http.get(own)).status == 200
        answer = await page.http.get(path)
        assert answer.status == 401
        assert (await answer.json())["error"]["kind"] == "UnauthenticatedError"
        assert (await page.search(f'{{"gallery": "{GALLERY}"}}', draw("Atomium", 99))).status == 401
        assert (await page.post("/api/jobs", {"source": "/x", "gallery": "g"})).status == 401


async def test_after_login_the_page_has_the_permission_of_the_key(
    qdrant: Qdrant, files: Files, file: Path
) -> None:
    key = api_keys.create(file, "wall", READ)
    async with page_running(qdrant.settings, [files.root], api_keys_file=file) as page:
        assert (await log_in(page, "lmk_wrong")).status == 401
        assert (await page.http.get("/api/session")).status == 401
        assert (await log_in(page, f" {key}\n")).status == 200
        session = await (await page.http.get("/api/session")).json()
        assert session == {
            "wants_keys": True,
            "name": "wall",
            "permission": "read",
            "galleries": [],
        }
        answer = await page.search(f'{{"gallery": "{GALLERY}"}}', draw("Atomium", 99))
        assert answer.status == 200
        refused = await page.post("/api/collections/x__y__00000000/drop", {})
        assert refused.status == 403
        assert "may only read" in (await refused.json())["error"]["message"]


async def test_revoking_a_key_ends_its_session_at_once(qdrant: Qdrant, file: Path) -> None:
    key = api_keys.create(file, "wall", READ)
    async with page_running(qdrant.settings, [], api_keys_file=file) as page:
        await log_in(page, key)
        assert (await page.http.get("/api/collections")).status == 200
        api_keys.revoke(file, "wall")
        assert (await page.http.get("/api/collections")).status == 401


async def test_logging_out_ends_the_session(qdrant: Qdrant, file: Path) -> None:
    key = api_keys.create(file, "wall", READ)
    async with page_running(qdrant.settings, [], api_keys_file=file) as page:
        page.http.cookie_jar.clear()
        await log_in(page, key)
        gone = await page.http.delete("/api/session", headers={"Origin": page.origin})
        assert gone.status == 200
        assert (await page.http.get("/api/collections")).status == 401


@pytest.mark.parametrize(
    ("proxied", "name", "secure"),
    [(False, "landmarks_key", False), (True, "__Host-landmarks_key", True)],
)
async def test_no_script_reads_the_cookie_no_other_site_sends_it_and_https_keeps_it(
    qdrant: Qdrant, file: Path, *, proxied: bool, name: str, secure: bool
) -> None:
    key = api_keys.create(file, "wall", READ)
    async with page_running(qdrant.settings, [], api_keys_file=file) as page:
        origin = page.origin.replace("http:", "https:") if proxied else page.origin
        cookie = SimpleCookie((await log_in(page, key, origin)).headers["Set-Cookie"])[name]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"
    assert bool(cookie["secure"]) is secure
    assert not cookie["domain"]


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
async def test_another_site_cannot_log_in_or_out(
    qdrant: Qdrant, file: Path, headers: dict[str, str]
) -> None:
    key = api_keys.create(file, "wall", READ)
    async with page_running(qdrant.settings, [], api_keys_file=file) as page:
        answer = await page.http.post("/api/session", json={"key": key}, headers=headers)
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers
        assert (await page.http.delete("/api/session", headers=headers)).status == 403


async def test_without_keys_the_session_may_write(page: Page) -> None:
    session = await (await page.http.get("/api/session")).json()
    assert session == {
        "wants_keys": False,
        "name": "",
        "permission": "write",
        "galleries": [],
    }


@pytest.mark.parametrize("cookie", [b"\xff\xfe", "ключ".encode(), b'"unclosed', b""])
@pytest.mark.parametrize("requires_keys", [True, False])
async def test_a_malformed_cookie_is_not_an_internal_error(
    qdrant: Qdrant, file: Path, cookie: bytes, *, requires_keys: bool
) -> None:
    api_keys.create(file, "wall", READ)
    more = {"api_keys_file": file} if requires_keys else {}
    async with page_running(qdrant.settings, [], **more) as page:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        host = f"Host: localhost:{page.port}\r\nConnection: close\r\n".encode()
        writer.write(
            b"GET /api/collections HTTP/1.1\r\n" + host + b"Cookie: landmarks_key=" + cookie
        )
        writer.write(b"\r\n\r\n")
        status = (await reader.readline()).split()[1]
        writer.close()
        await writer.wait_closed()
    assert status == (b"401" if requires_keys else b"200")


async def test_a_client_over_the_rate_limit_gets_a_retry_delay(qdrant: Qdrant) -> None:
    async with page_running(qdrant.settings, [], rate_limit=0.01, rate_burst=3) as page:
        statuses = [(await page.http.get("/api/collections")).status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = await page.http.get("/api/collections")
        assert 90 < int(refused.headers["Retry-After"]) <= 100
        assert (await refused.json())["error"]["kind"] == "RateLimitedError"
        assert (await page.http.get("/")).status == 200  # the page itself is still served


async def test_a_key_is_one_client_over_the_page_and_grpc(qdrant: Qdrant, file: Path) -> None:
    from landmarks.client import AsyncLandmarks
    from landmarks.errors import OverloadedError

    key = api_keys.create(file, "wall", READ)
    settings = SearchSettings.load(
        {
            "qdrant_port": qdrant.settings.qdrant_port,
            "search_port": 0,
            "page_port": 0,
            "api_keys_file": file,
            "rate_limit": 0.01,
            "rate_burst": 3,
        }
    )
    async with service_running(settings) as service:
        page = f"http://127.0.0.1:{service.page_port}"
        jar = aiohttp.CookieJar(unsafe=True)
        async with (
            aiohttp.ClientSession(page, cookie_jar=jar) as http,
            AsyncLandmarks(f"127.0.0.1:{service.port}", api_key=key) as client,
        ):
            await http.post("/api/session", json={"key": key}, headers={"Origin": page})
            assert (await http.get("/api/collections")).status == 200
            await client.models()
            assert (await http.get("/api/collections")).status == 200
            assert (await http.get("/api/collections")).status == 429
            with pytest.raises(OverloadedError, match="wall calls more than"):
                await client.models()


async def test_photos_count_little_so_that_an_answer_can_show_its_hits(
    qdrant: Qdrant, files: Files
) -> None:
    async with page_running(qdrant.settings, [files.root], rate_limit=0.01, rate_burst=4) as page:
        for _ in range(40):
            path = f"/photos/{GALLERY}/00000000-0000-0000-0000-000000000000/thumbnail"
            assert (await page.http.get(path)).status == 404


async def test_the_page_speaks_https_and_takes_a_new_certificate_without_a_restart(
    qdrant: Qdrant, file: Path, tmp_path: Path
) -> None:
    key = api_keys.create(file, "wall", READ)
    authority = Authority(tmp_path / "ca")
    files = authority.issue("search")
    more = {"tls_certificate": files.certificate, "tls_key": files.key, "api_keys_file": file}
    async with page_running(qdrant.settings, [], **more) as page:
        trusted = ssl.create_default_context(cafile=authority.file)
        origin = f"https://localhost:{page.port}"
        async with aiohttp.ClientSession(origin) as http:
            answer = await http.post(
                "/api/session", json={"key": key}, headers={"Origin": origin}, ssl=trusted
            )
            assert answer.status == 200
            assert "__Host-landmarks_key" in answer.headers["Set-Cookie"]
            assert (await http.get("/api/collections", ssl=trusted)).status == 200
        with pytest.raises(aiohttp.ClientError):
            await page.http.get("/")  # in plaintext
        address = f"127.0.0.1:{page.port}"
        first = authority.serial(files)
        assert await asyncio.to_thread(served_serial, address, files) == first
        authority.issue("search")
        assert await asyncio.to_thread(served_serial, address, files) == authority.serial(files)


@pytest.mark.needs(program="chromium")
def test_in_a_browser_a_key_is_requested_stored_and_deleted(
    qdrant: Qdrant, browser: Browser, file: Path
) -> None:
    key = api_keys.create(file, "wall", READ)
    port, page_port = free_port(), free_port()
    settings = {
        "search_port": str(port),
        "page_port": str(page_port),
        "qdrant_port": str(qdrant.settings.qdrant_port),
        "api_keys_file": str(file),
    }
    problems: list[str] = []
    with running_module("search_service", **settings):
        eventually(lambda: _accepts(page_port), "the page is served")
        assert is_serving(f"127.0.0.1:{port}") is False  # without an encoder it is NOT_SERVING
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(BOUND_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda said: "Security Policy" in said.text and problems.append(said.text),
        )
        page.goto(f"http://localhost:{page_port}/#collections")
        asked = page.get_by_role("dialog")
        expect(asked).to_contain_text("API key")
        asked.get_by_label("API key").fill("lmk_wrong")
        asked.get_by_role("button", name="Log in").click()
        expect(asked.get_by_role("alert")).to_contain_text("not known")
        asked.get_by_label("API key").fill(key)
        asked.get_by_role("button", name="Log in").click()
        expect(page.locator("#gallery option")).not_to_have_count(0)
        assert page.evaluate("document.cookie") == ""
        page.reload()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("dialog")).to_contain_text("API key")
        context.close()
    assert problems == []


def _accepts(port: int) -> bool:
    import urllib.request

    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except OSError:
        return False
    return True
