"""Searching with the page: a real browser, over the whole stack."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browser import Opened, answered, hits, named, search_by
from tests.support.browser_stack import GALLERY, LANDMARKS, SCRATCH, BrowserStack
from tests.support.indexing_rig import MODEL

pytestmark = [pytest.mark.needs(program="chromium"), pytest.mark.integration]


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


def test_a_hit_is_opened_by_keys_and_shows_all_stored_fields(
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


def test_less_like_a_hit_moves_it_down_until_it_is_removed(
    stack: BrowserStack, opened: Opened
) -> None:
    page = opened()
    search_by(page, stack.query("Stonehenge"))
    before = hits(page)
    page.locator(f'.row[data-model="{SCRATCH}"] .hit').first.click()
    page.get_by_role("button", name="Less like this").click()
    expect(page.locator(f'#answer [data-point="{before[0]}"]')).to_have_count(0)
    answered(page)
    expect(page.locator("#unlike-list button")).to_have_count(1)
    page.locator("#unlike-list button").click()
    expect(page.locator("#unlike")).to_be_hidden()
    expect(page.locator(f'#answer [data-point="{before[0]}"]').first).to_be_visible()
    answered(page)
    assert hits(page) == before


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


def test_a_file_that_is_not_a_photo_shows_the_error_of_the_service(
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


def test_with_one_encoder_gone_the_others_answer_and_the_reason_is_shown(
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
