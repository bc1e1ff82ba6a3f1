import csv
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from encoder_service.models.model_card import CurvePoint, ModelCard, TrainingData
from encoder_service.models.scratch import WEIGHTS
from landmarks.errors import InvalidInputError, NotFoundError
from landmarks_tools.cli.app import app
from landmarks_tools.sample_gallery.gallery import ensure_sample_gallery
from tests.support.files import cache_of_its_own

pytestmark = pytest.mark.integration

NAMES = ("Atomium", "Soreq_Cave", "Taj_Mahal", "Stonehenge")
AWKWARD = 'Taj <b>&"Mahal|*'
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What the tests ask of a page; raises where its elements do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


SPLITS = ("--gallery", "gallery", "--queries", "query")
BOTH = ("--gallery", "gallery", "--queries", "gallery")


def run(out: Path, *arguments: str | Path) -> None:
    result = CliRunner().invoke(app, ["report", str(out), *map(str, arguments)])
    if result.exception:
        raise result.exception


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small gallery; one of its landmarks has a name of markup."""
    folder = tmp_path_factory.mktemp("gallery")
    ensure_sample_gallery(folder, 6, 64, landmarks=NAMES, workers=1)
    rewrite(folder / "manifest.csv", folder / "manifest.csv", lambda row: {
        **row, "landmark": AWKWARD if row["landmark"] == "Taj_Mahal" else row["landmark"],
    })  # fmt: skip
    return folder


def rewrite(source: Path, target: Path, change) -> None:
    with source.open(newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep embeddings of these tests apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANDMARKS_CACHE_DIR", str(cache_of_its_own(tmp_path_factory.mktemp("cache"))))
        yield


@pytest.fixture(scope="module")
def out(gallery: Path, cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "made" / "by the command"
    run(folder, gallery / "manifest.csv", *SPLITS, "--models", "scratch")
    return folder


@pytest.fixture(scope="module")
def html(out: Path) -> str:
    return (out / "index.html").read_text()


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_needs_nothing_beside_it_and_no_script(page: Page, html: str):
    references = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "xlink:href", "data", "action")
    ]

    assert references
    assert all(str(value).startswith("data:image/jpeg;base64,") for value in references)
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r"url\(|@import|https?://", html)


def test_every_picture_says_what_it_shows_and_every_table_has_headers(page: Page):
    assert all(image.get("alt") for image in page.all("img"))
    for figure in page.all("svg"):
        assert len(figure.get("aria-label") or "") > 10 or figure.get("aria-hidden") == "true"
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_headings_go_down_one_level_at_a_time_from_one_title(page: Page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]

    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"


def test_names_of_landmarks_are_text_in_the_page_and_in_markdown(page: Page, html: str, out: Path):
    assert "Taj <b>" not in html
    assert AWKWARD.replace("_", " ") in page.text
    rows = [line for line in (out / "report.md").read_text().splitlines() if "Taj &lt;b" in line]
    assert any(r"Mahal\|\*" in row for row in rows)
    assert not any("<b>" in row for row in rows)


def test_the_page_has_all_parts_of_the_study_in_order(page: Page, html: str):
    ids = [element.get("id") for element in page.all("h2")]

    assert ids == ["question", "encoders", "maps", "guess", "rows", "figures", "conclusions"]
    for words in ("24 photos of 4 landmarks", "perplexity", "trustworthiness", "128-d", "mAP@100",
                  "891,136", "Queries: 4"):  # fmt: skip
        assert words.lower() in page.text.lower()
    assert html.index(">Atomium</h3>") < html.index(">Soreq Cave</h3>")


def test_every_figure_that_the_markdown_refers_to_is_there_and_no_other(out: Path):
    linked = re.findall(r"!\[[^\]]+\]\((figures/[^)]+)\)", (out / "report.md").read_text())

    there = [path.relative_to(out).as_posix() for path in (out / "figures").iterdir()]
    assert sorted(linked) == sorted(there)


def test_tables_of_the_markdown_have_as_many_cells_in_each_row(out: Path):
    tables = re.findall(r"(?:^\|.*\n)+", (out / "report.md").read_text(), re.MULTILINE)

    assert len(tables) > 8
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table


def test_the_same_photos_give_the_same_bytes(out: Path, gallery: Path, tmp_path: Path):
    run(tmp_path, gallery / "manifest.csv", *SPLITS, "--models", "scratch")

    def files(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    assert files(tmp_path) == files(out)


def test_without_photos_no_picture_and_no_name_of_a_photo_is_shown(
    gallery: Path, out: Path, tmp_path: Path
):
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    foreign = tmp_path / "figures" / "mine.svg"
    foreign.write_text("")

    run(tmp_path, gallery / "manifest.csv", *SPLITS, "--models", "scratch", "--no-photos")

    written = (tmp_path / "index.html").read_text()
    assert not Page(written).all("img")
    assert not list(tmp_path.rglob("*.jpg"))
    assert foreign.exists()
    for path in tmp_path.rglob("*.*"):
        assert ".jpg" not in path.read_text()
        assert "data:image" not in path.read_text()
    assert "Photos are left out" in written


def test_a_manifest_with_no_more_than_landmarks_is_studied_as_far_as_it_goes(
    gallery: Path, cache, tmp_path: Path
):
    bare = gallery / "bare.csv"
    rewrite(gallery / "manifest.csv", bare, lambda row: {
        "path": row["path"], "landmark": row["landmark"],
        "split": {"gallery": "train", "query": "val"}[row["split"]],
    })  # fmt: skip

    run(tmp_path, bare, "--gallery", "train", "--queries", "val", "--models", "scratch")

    text = Page((tmp_path / "index.html").read_text()).text
    for factor in ("Prominence", "Occlusion", "Viewpoint"):
        assert f"{factor} was not tested: the manifest" in text
    assert "Look-alikes:" in text
    assert "splits train" not in text
    assert "(split train)" in text
    assert not (tmp_path / "figures" / "factor-prominence.svg").exists()


def test_queries_that_are_in_the_gallery_are_mapped_once_and_not_found_by_themselves(
    gallery: Path, cache, tmp_path: Path
):
    run(tmp_path, gallery / "manifest.csv", *BOTH, "--models", "scratch")

    text = Page((tmp_path / "index.html").read_text()).text
    assert "20 photos of 4 landmarks" in text


def test_a_folder_is_studied_with_each_photo_searched_for_among_the_others(
    gallery: Path, cache, tmp_path: Path
):
    run(tmp_path, gallery / "images", "--models", "scratch")

    text = Page((tmp_path / "index.html").read_text()).text
    assert "Gallery: 24 photos. Queries: 24." in text


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["absent.csv"], InvalidInputError, "absent.csv"),
        (["manifest.csv", "--gallery", "gallery", "--queries", "tset"], InvalidInputError, "tset"),
        (["manifest.csv"], InvalidInputError, "say with --gallery and --queries"),
        (["manifest.csv", *SPLITS, "--models", "resnet"], NotFoundError, "resnet"),
    ],
)
def test_a_report_that_cannot_be_made_says_why_and_writes_nothing(
    gallery: Path, tmp_path: Path, arguments, error, words
):
    with pytest.raises(error, match=words):
        run(tmp_path / "out", gallery / arguments[0], *arguments[1:])
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be_is_refused(gallery: Path, tmp_path: Path):
    (tmp_path / "out").write_text("")

    with pytest.raises(InvalidInputError, match="not a folder"):
        run(tmp_path / "out", gallery / "manifest.csv")


def test_a_study_of_one_landmark_is_refused(gallery: Path, cache, tmp_path: Path):
    one = gallery / "one.csv"
    rewrite(gallery / "manifest.csv", one, lambda row: {**row, "landmark": "Atomium"})

    with pytest.raises(InvalidInputError, match="2 landmarks"):
        run(tmp_path, one, *SPLITS, "--models", "scratch")


@pytest.mark.slow
def test_a_model_with_a_card_shows_how_its_training_went(
    gallery: Path, cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    weights = tmp_path / "model.safetensors"
    save_file(load_file(WEIGHTS), weights, metadata={"base": "scratch"})
    ModelCard(
        name="mine", description="", base="scratch", base_digest="", weights_digest="",
        parameters=1, data=TrainingData("d", {"train": 40}, 5), settings={}, metrics={},
        curve=tuple(CurvePoint(i, 4.0 / i, 0.02 * i if i % 2 else None) for i in range(1, 31)),
        environment={},
    ).write(tmp_path / "model.json")  # fmt: skip
    monkeypatch.setenv("LANDMARKS_TRAINED_MODELS", json.dumps({"mine": str(weights)}))

    run(tmp_path / "out", gallery / "manifest.csv", *SPLITS, "--models", "mine")

    page = Page((tmp_path / "out" / "index.html").read_text())
    labels = [figure.get("aria-label") or "" for figure in page.all("svg")]
    assert any("Training loss of mine" in label and "4, 0.133" in label for label in labels)
    assert any("Validation mAP of mine" in label and "0.02, 0.58" in label for label in labels)
    assert "5 landmarks, on 40 photos" in page.text


@pytest.mark.slow
@pytest.mark.integration
def test_without_a_manifest_the_sample_gallery_is_studied(tmp_path: Path):
    run(tmp_path, "--views", "4", "--models", "scratch")

    text = Page((tmp_path / "index.html").read_text()).text
    assert "96 photos of 24 landmarks" in text
    for factor in ("Prominence:", "Occlusion:", "Viewpoint:", "Look-alikes:"):
        assert factor in text
