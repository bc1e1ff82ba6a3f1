"""Links between documents lead somewhere, and the index of decisions is complete."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
FOLDERS = (
    "benchmarks",
    "deploy",
    "docs",
    "encoder_service",
    "examples",
    "indexer_worker",
    "landmarks",
    "landmarks_tools",
    "protos",
    "scripts",
    "search_service",
    "tests",
)
# Made when deploying; and an image, not a file.
NOT_COMMITTED = {"deploy/compose/secrets", "landmarks/encoder-cuda"}
STATUS = re.compile(r"^\d{4}-\d\d-\d\d, (accepted|superseded by \[\d{4}\]\(.*\))$", re.MULTILINE)


def documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).exists()]


def prose(path: Path) -> str:
    """Return a document without its code blocks and code spans, which may look like links."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(
        r"`[^`\n]*`", lambda span: span.group().strip("`") if "](" not in span.group() else "", text
    )


@cache
def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    named = re.findall(r'<a (?:id|name)="([^"]+)"', path.read_text())
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings} | {*named}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_of_the_repository_that_is_named_exists(document: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", document.read_text())
    missing = [path for path in named if not (ROOT / path).exists()]
    assert [path for path in missing if path not in NOT_COMMITTED] == []


def test_the_index_lists_every_decision_with_its_date_and_status() -> None:
    index = (DECISIONS / "README.md").read_text()
    records = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    assert records
    for number, path in enumerate(records, 1):
        text = path.read_text()
        title = re.match(r"# (\d{4})\. (.*)", text)
        status = STATUS.search(text)
        assert title, path
        assert status, path
        date, _, rest = status.group().partition(", ")
        assert path.name.startswith(title.group(1)), path
        assert title.group(1) == f"{number:04}", path
        row = f"| [{title.group(1)}]({path.name}) | {date} | {rest} | {title.group(2)} |"
        assert row in index, row
