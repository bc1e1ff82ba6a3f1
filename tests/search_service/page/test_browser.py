"""The page as its user sees it: a real browser, over the whole stack."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from landmarks.errors import NotFoundError
from tests.support.browser_stack import GALLERY, LANDMARKS, SCRATCH, BrowserStack, browser_stack
from tests.support.edge import edge_process
from tests.support.indexing_rig import MODEL, draw_photo, running
from tests.support.processes import free_port

pytestmark = [pytest.mark.browser, pytest.mark.integration]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWS = ("search", "map", "jobs", "collections")
BOUND_MS = 30_000  # only keeps a broken page from hanging a test
expect.set_options(timeout=BOUND_MS)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserStack]:
    if shutil.which("chromium") is None and not os.environ.get("CI"):
        pytest.skip("there is no chromium: apt-get install chromium")
    with browser_stack(tmp_path_factory.mktemp("stack")) as running_stack:
        yield running_stack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "there is no chromium, and CI is set: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield launched
        launched.close()


@dataclass
class Seen:
    """What went wrong in a page, and what it asked of anybody else."""

    problems: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


Opened = Callable[..., Page]


@pytest.fixture
def opened(stack: BrowserStack, browser: Browser) -> Iterator[Opened]:
    """Open the page; whatever a test does, nothing fails in it and nobody else is asked."""
    seen, contexts = Seen(), []

    def open_page(view: str = "search", url: str = "", width: int = 1280, **options: str) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(BOUND_MS)
        base = url or stack.page
        page.on("pageerror", lambda error: seen.problems.append(str(error)))
        page.on(
            "console",
            lambda said: "Security Policy" in said.text and seen.problems.append(said.text),
        )
        page.on(
            "request",
            lambda asked: asked.url.startswith(base) or seen.elsewhere.append(asked.url),
        )
        page.goto(f"{base}/#{view}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == Seen()


def search_by(page: Page, photo: Path) -> None:
    page.set_input_files("#file", photo)
    answered(page)


def answered(page: Page) -> None:
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".verdict")).to_be_visible()


def hits(page: Page, model: str = SCRATCH) -> list[str]:
    return page.locator(f'.row[data-model="{model}"] .hit').evaluate_all(
        "all => all.map(one => one.dataset.point)"
    )


def named(landmark: str) -> str:
    return landmark.replace("_", " ")


def test_a_photo_that_is_dropped_shows_its_landmark_and_a_row_for_each_model(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    expect(page.locator("#sample-list img").first).to_be_visible()
    photo = base64.b64encode(stack.query("Eiffel_Tower").read_bytes()).decode()
    page.evaluate(
        """photo => {
            const bytes = Uint8Array.from(atob(photo), one => one.charCodeAt(0));
            const dropped = new DataTransfer();
            dropped.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
            const event = new DragEvent("drop", { dataTransfer: dropped, bubbles: true });
            document.body.dispatchEvent(event);
        }""",
        photo,
    )
    answered(page)
    expect(page.locator(".verdict h1")).to_have_text("Eiffel Tower")
    expect(page.locator(".row h2")).to_have_text(["All models together", MODEL, SCRATCH])
    expect(page.locator("#announcer")).to_contain_text("Eiffel Tower")
    expect(page.locator(f'.row[data-model="{SCRATCH}"]')).to_contain_text("ms")
    expect(page.locator(f'.row[data-model="{SCRATCH}"] .hit').first).to_contain_text(f"in {MODEL}")
    first = page.locator(f'.row[data-model="{SCRATCH}"] .hit img').first
    first.scroll_into_view_if_needed()
    page.wait_for_function("image => image.naturalWidth > 0", arg=first.element_handle())


def test_a_photo_that_is_pasted_is_searched_for(stack: BrowserStack, opened: Opened) -> None:
    page = opened()
    expect(page.locator("#sample-list img").first).to_be_visible()
    photo = base64.b64encode(stack.query("Taj_Mahal").read_bytes()).decode()
    page.evaluate(
        """photo => {
            const bytes = Uint8Array.from(atob(photo), one => one.charCodeAt(0));
            const pasted = new DataTransfer();
            pasted.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: pasted }));
        }""",
        photo,
    )
    answered(page)
    expect(page.locator(".verdict h1")).to_have_text("Taj Mahal")


def test_a_hit_is_picked_by_keys_and_says_all_that_is_stored(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    search_by(page, stack.query("Big_Ben"))
    page.locator(".hit").first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    dialog = page.locator("#detail")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("sha256")
    expect(dialog).to_contain_text("time_of_day")
    expect(dialog).to_contain_text("rank 2")
    original = dialog.locator("a", has_text="Original").get_attribute("href")
    with page.context.expect_page() as shown:
        dialog.locator("a", has_text="Original").click()
    assert original is not None
    assert shown.value.url.endswith(original)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.classList.contains('hit')")


def test_more_like_a_hit_searches_by_it_and_leaves_it_out(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    search_by(page, stack.query("Stonehenge"))
    point = hits(page)[0]
    page.locator(f'.row[data-model="{SCRATCH}"] .hit').first.click()
    page.get_by_role("button", name="More like this").click()
    expect(page.locator(f'#answer [data-point="{point}"]')).to_have_count(0)
    answered(page)
    assert len(hits(page)) == 10


def test_a_sample_is_searched_by(opened: Opened) -> None:
    page = opened()
    sample = page.locator("#sample-list button").first
    label = sample.get_attribute("aria-label") or ""
    sample.click()
    answered(page)
    assert label.removeprefix("Search by a photo of ") in [named(one) for one in LANDMARKS]
    expect(page.locator("#picture canvas")).to_be_visible()


def test_a_part_is_drawn_with_the_mouse_with_keys_and_with_numbers(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    search_by(page, stack.query("Sydney_Opera_House"))
    whole = hits(page)
    area = page.locator("#canvas").bounding_box()
    assert area is not None
    with page.expect_response("**/api/search"):
        page.mouse.move(area["x"] + area["width"] * 0.1, area["y"] + area["height"] * 0.5)
        page.mouse.down()
        page.mouse.move(area["x"] + area["width"] * 0.6, area["y"] + area["height"] * 0.9)
        page.mouse.up()
    answered(page)
    for side, value in (("left", 10), ("top", 50), ("right", 60), ("bottom", 90)):
        shown = int(page.locator(f"#box-{side}").input_value())
        assert abs(shown - value) <= 1
    assert hits(page) != whole

    left = page.locator("#box-left").input_value()
    page.locator("#picture").focus()
    with page.expect_response("**/api/search"):
        page.keyboard.press("ArrowRight")
    assert int(page.locator("#box-left").input_value()) == int(left) + 2

    for side, value in (("left", 10), ("top", 20), ("right", 95), ("bottom", 80)):
        page.locator(f"#box-{side}").fill(str(value))
        with page.expect_response("**/api/search"):
            page.locator(f"#box-{side}").press("Enter")
    answered(page)
    with stack.client as client:
        photo = stack.query("Sydney_Opera_House").read_bytes()
        part = client.search(
            photo=photo, box=(0.1, 0.2, 0.95, 0.8), gallery=GALLERY, models=[SCRATCH]
        )
    assert hits(page) == [hit.point.id for hit in part.rankings[0].hits]

    with page.expect_response("**/api/search"):
        page.locator("#box-clear").click()
    answered(page)
    assert hits(page) == whole


def test_a_part_of_a_sample_is_searched_by_its_photo(opened: Opened) -> None:
    page = opened()
    page.locator("#sample-list button").first.click()
    answered(page)
    page.locator("#box-bottom").fill("60")
    with page.expect_response("**/api/search") as answer:
        page.locator("#box-bottom").press("Enter")
    assert answer.value.status == 200


def test_hits_are_filtered_by_landmark_counted_and_limited(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    search_by(page, stack.query("Atomium"))
    page.locator("#filter summary").click()
    counts = page.locator("#filter-list label")
    expect(counts).to_have_count(len(LANDMARKS))
    expect(counts.first).to_contain_text("7")
    with page.expect_response("**/api/search"):
        counts.filter(has_text="Taj Mahal").locator("input").check()
    answered(page)
    expect(page.locator("#filter-count")).to_have_text("(1 of 6)")
    for text in page.locator(".hit .name").all_text_contents():
        assert text == "Taj Mahal"
    page.locator("#limit").fill("3")
    with page.expect_response("**/api/search"):
        page.locator("#limit").press("Enter")
    answered(page)
    assert len(hits(page)) == 3
    with page.expect_response("**/api/search"):
        page.locator("#model-list input").first.uncheck()
    expect(page.locator(".row h2")).to_have_text([SCRATCH])


def test_a_file_that_is_no_photo_is_refused_in_the_words_of_the_service(
    tmp_path: Path, opened: Opened
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is not a photo")
    page = opened()
    expect(page.locator("#sample-list img").first).to_be_visible()
    page.set_input_files("#file", broken)
    said = page.get_by_role("alert")
    expect(said).to_contain_text("This photo cannot be searched with")
    expect(said).to_contain_text("not a photo that can be read")


def test_with_one_encoder_gone_the_others_answer_and_the_reason_is_told(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    expect(page.locator("#sample-list img").first).to_be_visible()
    stack.stop_colours()
    try:
        search_by(page, stack.query("Eiffel_Tower"))
        expect(page.locator("#answer .notice")).to_contain_text(f"{MODEL} did not answer")
        expect(page.locator(".row h2")).to_have_text([SCRATCH])
        expect(page.locator(".verdict h1")).to_have_text("Eiffel Tower")
    finally:
        stack.start_colours()


def test_a_job_is_followed_from_its_start_to_its_dead_letters(
    stack: BrowserStack, opened: Opened
) -> None:
    folder = stack.rig.directory / "new" / "Atomium"
    for seed in range(12):
        draw_photo(folder / f"{seed}.png", seed)
    (folder / "broken.jpg").write_bytes(b"this is not a photo")
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
    job.get_by_text("could not be indexed").click()
    expect(job).to_contain_text("Atomium/broken.jpg")

    draw_photo(folder / "good.png", 50).rename(folder / "broken.jpg")
    job.get_by_role("button", name="Try dead letters again").click()
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


def test_a_gallery_is_calibrated_and_then_the_verdict_says_how_sure_it_is(
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
    page.locator("#confirm").get_by_role("button", name="Calibrate").click()
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


def test_an_empty_stack_says_how_to_index(
    tmp_path: Path, opened: Opened, stack: BrowserStack
) -> None:
    port, qdrant = free_port(), free_port()
    settings = stack.rig.settings(qdrant_port=str(qdrant), page_port=str(port), search_port="0")
    with edge_process(tmp_path, qdrant), running("search_service", **settings):
        page = opened_when_served(opened, f"http://127.0.0.1:{port}")
        expect(page.locator("#answer")).to_contain_text("Nothing is indexed yet")
        expect(page.locator("#answer code")).to_have_text("landmarks index ~/photos --wait")


def opened_when_served(opened: Opened, url: str) -> Page:
    for _ in range(200):
        try:
            urllib.request.urlopen(url).close()
            break
        except OSError:
            time.sleep(0.1)
    return opened(url=url)


def test_colours_follow_the_system_or_the_choice_which_is_kept(opened: Opened) -> None:
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
def test_every_view_fits_and_can_be_looked_at(
    stack: BrowserStack, opened: Opened, tmp_path: Path, scheme: str, width: int
) -> None:
    page = opened(width=width, color_scheme=scheme)
    search_by(page, stack.query("Eiffel_Tower"))
    for view in VIEWS:
        page.goto(f"{stack.page}/#{view}")
        expect(page.locator(f"#view-{view} h1").first).to_be_visible()
        picture = tmp_path / f"{view}-{scheme}-{width}.png"
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 10_000
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_has_a_name_and_every_field_a_label(stack: BrowserStack, opened: Opened) -> None:
    page = opened()
    search_by(page, stack.query("Eiffel_Tower"))
    for view in VIEWS:
        page.goto(f"{stack.page}/#{view}")
        expect(page.locator(f"#view-{view} h1").first).to_be_visible()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, select, canvas[tabindex]")]
                .filter(one => one.offsetParent !== null)
                .filter(one => !(one.textContent.trim() || one.getAttribute("aria-label")
                    || one.labels?.length || one.querySelector("img[alt]:not([alt=''])")))
                .map(one => one.outerHTML)"""
        )
        assert nameless == []
