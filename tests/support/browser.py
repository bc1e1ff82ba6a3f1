"""A browser that looks at the page, and what tests do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser_stack import SCRATCH

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BOUND_MS = 30_000  # only keeps a broken page from hanging a test
expect.set_options(timeout=BOUND_MS)


@dataclass
class Seen:
    """What went wrong in a page, and what it asked of anybody else."""

    problems: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


Opened = Callable[..., Page]


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
