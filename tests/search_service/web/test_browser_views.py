"""The page's other views: a real browser, over the whole stack."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from landmarks.errors import NotFoundError
from tests.support.browser import Opened, answered, search_by
from tests.support.browser_stack import GALLERY, LANDMARKS, SCRATCH, BrowserStack
from tests.support.engine import engine_process
from tests.support.indexing_rig import MODEL, draw_photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module

pytestmark = [pytest.mark.needs(program="chromium"), pytest.mark.integration]

# And an element of each once it has loaded.
VIEWS = {"search": "#answer h1", "map": "canvas", "jobs": ".job", "collections": ".card"}


def test_a_job_is_followed_from_its_start_to_its_dead_letters(
    stack: BrowserStack, opened: Opened
) -> None:
    folder = stack.rig.directory / "new" / "Atomium"
    for seed in range(12):
        draw_photo(folder / f"{seed}.png", seed)
    (folder / "broken.jpg").write_bytes(b"this is not a photo")
    (folder / "0.mov").write_bytes(b"moving")
    (folder / ".thumbnails").mkdir()
    page = opened("jobs")
    page.locator("#job-start summary").click()
    page.locator("#job-source").fill("/etc")
    page.locator("#job-gallery").fill("fresh")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#notices")).to_contain_text("not below an allowed root")

    page.locator("#job-source").fill(str(folder.parent))
    page.get_by_role("button", name="Start").click()
    job = page.locator(".job", has_text="Index “fresh”")
    expect(job).to_have_attribute("data-state", "JOB_STATE_SUCCEEDED")
    expect(job).to_contain_text("13 of 13")
    expect(job).to_contain_text("12 stored · 1 dead")
    expect(job).to_contain_text("skipped: 1 video of a live photo · 1 system folder")
    expect(job).to_contain_text("1 label, 0 without one")
    job.get_by_text("could not be indexed").click()
    expect(job).to_contain_text("Atomium/broken.jpg")

    draw_photo(folder / "good.png", 50).rename(folder / "broken.jpg")
    job.get_by_role("button", name="Retry dead letters").click()
    expect(job).to_contain_text("13 stored")
    expect(page.locator("#gallery option")).to_have_count(2)


def test_a_job_is_sent_after_each_change_and_can_be_cancelled_and_resumed(
    stack: BrowserStack,
) -> None:
    folder = stack.rig.directory / "streamed" / "Atomium"
    for seed in range(6):
        draw_photo(folder / f"{seed}.png", seed)
    with stack.client as client:
        job = client.index(str(folder.parent), gallery="streamed", models=[MODEL])
        watched = f"{stack.page}/api/jobs/watch?id={job.id}&id=no-such-job"
        with urllib.request.urlopen(watched, timeout=60) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            events = answer.read().decode()
        assert "JOB_STATE_SUCCEEDED" in events
        assert "event: failed" in events
        assert events.rstrip().endswith("event: ended\ndata: {}")
        for change in ("cancel", "resume", "retry"):
            asked = urllib.request.Request(
                f"{stack.page}/api/jobs/{job.id}/{change}",
                data=b"{}",
                headers={"Content-Type": "application/json", "Origin": stack.page},
            )
            with urllib.request.urlopen(asked, timeout=30) as answer:
                assert json.load(answer)["id"] == job.id
        client.drop(client.collections("streamed")[0].name, live_too=True)


def test_a_map_is_drawn_shows_photos_by_keys_and_where_the_query_falls(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    search_by(page, stack.query("Taj_Mahal"))
    page.goto(f"{stack.page}/#map")
    page.locator("#map-model").select_option(SCRATCH)
    page.get_by_role("button", name="Draw the map").click()
    job = page.locator(".job", has_text="Draw the map").first
    expect(job).to_have_attribute("data-state", "JOB_STATE_SUCCEEDED")
    page.get_by_role("link", name="Map").click()
    page.locator("#map-model").select_option(SCRATCH)
    board = page.get_by_role("application")
    expect(board).to_be_visible()
    expect(page.locator(".legend button")).to_have_count(len(LANDMARKS))
    expect(page.locator(".shapes")).to_contain_text("in no cluster")
    expect(page.locator(".shapes")).to_contain_text("your photo, among its nearest")
    board.focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    tip = page.locator(".map-tip")
    expect(tip).to_be_visible()
    assert tip.locator("p").text_content() is not None
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_contain_text("sha256")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Redraw").click()
    expect(job).to_have_attribute("data-state", "JOB_STATE_SUCCEEDED")
    with page.expect_response(
        lambda answer: answer.url.endswith("/map")
    ):  # the new map, not the old one
        page.get_by_role("link", name="Map").click()
    expect(board).to_be_visible()


def test_a_calibrated_gallery_gives_verdicts_with_confidence(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    search_by(page, stack.query("Eiffel_Tower"))
    expect(page.locator(".verdict")).to_contain_text("not calibrated")
    page.get_by_role("button", name="Calibrate this gallery").click()
    page.get_by_role("link", name="See the job").click()
    job = page.locator(".job", has_text="Calibrate “sample”").first
    expect(job).to_have_attribute("data-state", "JOB_STATE_SUCCEEDED")
    page.get_by_role("link", name="Search", exact=True).click()

    def calibrated() -> bool:
        with page.expect_response("**/api/search"):
            page.locator("#search-again").click()
        answered(page)
        return "sure" in (page.locator(".verdict").text_content() or "")

    assert any(calibrated() or page.wait_for_timeout(500) for _ in range(40))
    page.get_by_role("link", name="Collections").click()
    card = page.locator(".collection", has_text=SCRATCH).first
    expect(card).to_contain_text("calibrated")


def test_photos_of_other_landmarks_can_be_named_for_calibrating(opened: Opened) -> None:
    page = opened("collections")
    page.get_by_label(f"Gallery {GALLERY}").get_by_role("button", name="Calibrate").click()
    page.locator("#confirm").get_by_role("textbox").fill("/etc")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("not below an allowed root")


def test_a_collection_is_dropped_only_after_a_question(stack: BrowserStack, opened: Opened) -> None:
    with stack.client as client:
        photos = stack.rig.directory / "drop" / "Atomium"
        draw_photo(photos / "one.png", 3)
        *_, last = client.watch(client.index(str(photos), gallery="gone", models=[MODEL]).id)
        name = last.progress[0].collection
    page = opened("collections")
    card = page.locator(f'[data-collection="{name}"]')
    expect(card).to_contain_text("live")
    card.get_by_role("button", name="Drop").click()
    page.locator("#confirm").get_by_role("button", name="Cancel").click()
    expect(card).to_be_visible()
    card.get_by_role("button", name="Drop").click()
    page.locator("#confirm input").check()
    page.locator("#confirm").get_by_role("button", name="Drop").click()
    expect(card).to_have_count(0)
    with stack.client as client, pytest.raises(NotFoundError):
        client.promote(name)


def test_models_whose_collection_is_dropped_are_no_longer_searched(
    stack: BrowserStack, opened: Opened
) -> None:
    photos = stack.rig.directory / "two" / "Atomium"
    draw_photo(photos / "one.png", 4)
    with stack.client as client:
        *_, last = client.watch(client.index(str(photos), gallery="two").id)
    goes, stays = (
        next(one.collection for one in last.progress if one.model == model)
        for model in (MODEL, SCRATCH)
    )
    page = opened()
    page.locator("#gallery").select_option("two")
    expect(page.locator("#model-list input")).to_have_count(2)
    page.get_by_role("link", name="Collections").click()
    page.locator(f'[data-collection="{goes}"]').get_by_role("button", name="Drop").click()
    page.locator("#confirm input").check()
    page.locator("#confirm").get_by_role("button", name="Drop").click()
    expect(page.locator(f'[data-collection="{goes}"]')).to_have_count(0)
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.locator("#model-list input")).to_have_count(1)
    search_by(page, stack.query("Eiffel_Tower"))
    expect(page.locator(".row h2")).to_have_text([SCRATCH])
    with stack.client as client:
        client.drop(stays, live_too=True)


def test_skipping_to_the_content_does_not_leave_the_view(opened: Opened) -> None:
    page = opened("collections")
    expect(page.locator(".collection").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")
    expect(page.locator("#view-collections")).to_be_visible()


def test_an_empty_stack_shows_how_to_index(
    tmp_path: Path, opened: Opened, stack: BrowserStack
) -> None:
    port, qdrant = free_port(), free_port()
    settings = stack.rig.settings(qdrant_port=str(qdrant), page_port=str(port), search_port="0")
    with engine_process(tmp_path, qdrant), running_module("search_service", **settings):
        page = opened_when_served(opened, f"http://127.0.0.1:{port}")
        expect(page.locator("#answer")).to_contain_text("Nothing is indexed yet")
        expect(page.locator("#answer code")).to_have_text("landmarks index ~/photos --wait")


def opened_when_served(opened: Opened, url: str) -> Page:
    def served() -> bool:
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            return False
        return True

    eventually(served, "the page is served")
    return opened(url=url)


def test_colours_follow_the_system_or_a_stored_choice(opened: Opened) -> None:
    page = opened(color_scheme="dark")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(paper)
    page.locator("#theme").click()
    light = page.evaluate(paper)
    assert light != dark
    page.reload()
    assert page.evaluate(paper) == light
    page.locator("#theme").click()
    assert page.evaluate(paper) == dark


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_every_view_fits_its_window(
    stack: BrowserStack, opened: Opened, tmp_path: Path, scheme: str, width: int
) -> None:
    page = opened(width=width, color_scheme=scheme)
    search_by(page, stack.query("Eiffel_Tower"))
    for view, contents in VIEWS.items():
        page.goto(f"{stack.page}/#{view}")
        expect(page.locator(f"#view-{view} {contents}").first).to_be_visible()
        picture = tmp_path / f"{view}-{scheme}-{width}.png"
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 10_000
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_has_a_name_and_every_field_a_label(stack: BrowserStack, opened: Opened) -> None:
    page = opened()
    search_by(page, stack.query("Eiffel_Tower"))
    for view, contents in VIEWS.items():
        page.goto(f"{stack.page}/#{view}")
        expect(page.locator(f"#view-{view} {contents}").first).to_be_visible()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, select, canvas[tabindex]")]
                .filter(one => one.offsetParent !== null)
                .filter(one => !(one.textContent.trim() || one.getAttribute("aria-label")
                    || one.labels?.length || one.querySelector("img[alt]:not([alt=''])")))
                .map(one => one.outerHTML)"""
        )
        assert nameless == []
