"""`landmarks evaluate` as its user sees it, with a real encoder."""

import csv
import json
import logging
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from PIL import Image

from encoder_service.models.shipped_weights import shipped
from encoder_service.tensors import read_tensors, write_tensors
from landmarks.retrieval.labelled_photos import read_photos
from landmarks_tools.evaluation.evaluate_service import gallery_name
from tests.support.files import cache_of_its_own
from tests.support.local_stack import LANDMARKS
from tests.support.photos import saved
from tests.support.places import FIGURES, asked, draw_places, evaluate, view
from tests.support.ports import free_port

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_places(tmp_path_factory.mktemp("places"))


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of this file's own; the processes that tests start inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANDMARKS_CACHE_DIR", str(cache_of_its_own(tmp_path_factory.mktemp("cache"))))
        yield


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Let the command log what it logs as a process: warnings."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.configure(wrapper_class=before)


def test_json_is_a_list_of_figures_with_intervals_and_the_same_bytes_each_time(
    manifest: Path,
) -> None:
    first, second = (evaluate(*asked(manifest), "--json") for _ in range(2))
    assert first.stdout == second.stdout
    assert first.stderr == second.stderr == ""
    [result] = first.json()
    assert list(result) == ["model", *FIGURES, "queries", "gallery"]
    assert (result["model"], result["queries"], result["gallery"]) == ("scratch", 12, 30)
    for name in FIGURES:
        assert list(result[name]) == ["value", "low", "high"]
        assert 0 <= result[name]["low"] <= result[name]["value"] <= result[name]["high"] <= 1
    assert 0 < result["mAP"]["value"] < 1, "the gallery is too easy or too hard to show anything"


def test_people_get_a_table_the_worst_landmarks_and_the_confusions(manifest: Path) -> None:
    [figures] = evaluate(*asked(manifest), "--json").json()
    shown = evaluate(*asked(manifest), "--landmarks", "2")
    assert shown.status == 0, shown.stderr
    assert shown.stdout == evaluate(*asked(manifest), "--landmarks", "2").stdout
    for name in FIGURES:
        each = figures[name]
        assert f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]" in shown.stdout
    assert "12 queries, 30 photos in the gallery; 1 queries left out" in shown.stdout
    assert "scratch: 2 of 6 landmarks, worst first" in shown.stdout
    assert "scratch: most frequent confusions" in shown.stdout


def test_several_splits_are_one_gallery(manifest: Path) -> None:
    [result] = evaluate(*asked(manifest, "gallery,more"), "--json").json()
    assert result["gallery"] == 36


def test_in_a_folder_each_photo_is_a_query_against_the_others(
    manifest: Path, tmp_path: Path
) -> None:
    for place in range(2):
        for number in range(3):
            path = tmp_path / f"place {place}" / f"{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(saved(view(place, number), "JPEG"))
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "1.jpg").write_bytes(saved(view(9, 0), "JPEG"))
    result = evaluate(tmp_path, "--models", "scratch")
    assert result.status == 0, result.stderr
    assert "6 queries, 7 photos in the gallery; 1 queries left out" in result.stdout
    [figures] = evaluate(tmp_path, "--models", "scratch", "--json").json()
    assert figures["mAP"]["value"] < 1, "each photo has found itself"


def test_a_split_that_is_gallery_and_queries_is_the_same_as_leaving_one_out(
    manifest: Path, tmp_path: Path
) -> None:
    both = evaluate(*asked(manifest, "gallery", "gallery"), "--json")
    with manifest.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "gallery"]
    unsplit = manifest.with_name("unsplit.csv")
    with unsplit.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "landmark"), *((row["path"], row["landmark"]) for row in rows)]
        )
    assert both.stdout == evaluate(unsplit, "--models", "scratch", "--json").stdout
    assert both.json()[0]["queries"] == 30


def test_failures_are_drawn_into_the_folder_and_leave_json_alone(
    manifest: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "failures"
    drawn = evaluate(*asked(manifest), "--json", "--failures", folder)
    assert drawn.status == 0, drawn.stderr
    assert drawn.stdout == evaluate(*asked(manifest), "--json").stdout
    with Image.open(folder / "scratch.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(sheet.width * sheet.height)}
    assert (200, 52, 44) in colours, "no hit is framed as wrong"


def test_a_sheet_of_failures_does_not_outlive_them(tmp_path: Path) -> None:
    for place in range(2):
        for number in range(2):
            path = tmp_path / "photos" / f"place {place}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(saved(view(place, 0), "JPEG"))  # twice the same: each finds the other
    folder = tmp_path / "failures"
    folder.mkdir()
    (folder / "scratch.png").write_bytes(b"of an evaluation before")
    result = evaluate(tmp_path / "photos", "--models", "scratch", "--failures", folder)
    assert "every first hit is right" in result.stdout, result.stderr
    assert not list(folder.iterdir())


def test_photos_none_of_which_can_find_another_are_refused_before_any_work(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "1.jpg").write_bytes(b"this is not a photo")
    result = evaluate(tmp_path, "--models", "scratch")
    assert (result.status, result.stdout) == (2, ""), result.stderr
    assert "two photos at least" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--gallery", "gallery", "--queries", "test"), 2, "there are: gallery, more, query"),
        (("--gallery", "gallery"), 2, "--queries"),
        ((), 2, "has splits (gallery, more, query)"),
        (("--gallery", "gallery", "--queries", "query", "--models", "resnet"), 3, "'resnet'"),
        (
            ("--gallery", "gallery", "--queries", "query", "--through", f"127.0.0.1:{free_port()}"),
            4,
            "landmarks up",
        ),
    ],
    ids=["unknown split", "half", "no splits", "unknown model", "no stack"],
)
def test_what_cannot_be_evaluated_is_said_in_words_and_by_the_exit_status(
    manifest: Path, arguments: Sequence[str], status: int, said: str
) -> None:
    result = evaluate(manifest, *arguments, "--json")
    assert (result.status, result.stdout) == (status, ""), result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_manifest_that_cannot_be_used_is_an_error_of_the_input(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("file,landmark,split\n")
    for source in (path, tmp_path / "absent.csv", tmp_path / "absent"):
        result = evaluate(source, "--gallery", "a", "--queries", "b", "--json")
        assert (result.status, result.stdout) == (2, ""), result.stderr


def test_a_photo_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "1.jpg").write_bytes(b"this is not a photo")
    (tmp_path / "place" / "2.jpg").write_bytes(saved(view(0, 0), "JPEG"))
    result = evaluate(tmp_path, "--models", "scratch")
    assert result.status == 2, result.stderr
    assert "place/1.jpg" in result.stderr


def test_the_gallery_of_an_evaluation_is_named_by_photos_landmarks_and_encoder(
    manifest: Path,
) -> None:
    photos = read_photos(manifest, ["gallery"])
    name = gallery_name(photos, "scratch", "1234")
    assert name == gallery_name(photos[::-1], "scratch", "1234")
    others = {
        gallery_name(photos, "scratch", "5678"),
        gallery_name(photos, "vgg16", "1234"),
        gallery_name(photos[1:], "scratch", "1234"),
        gallery_name(read_photos(manifest, ["more"]), "scratch", "1234"),
        gallery_name([replace(photos[0], landmark="another"), *photos[1:]], "scratch", "1234"),
        gallery_name([replace(photos[0], path=photos[1].path), *photos[1:]], "scratch", "1234"),
    }
    assert len(others - {name}) == 6


def test_the_command_prints_nothing_but_json_and_its_status_reports_an_error(
    manifest: Path,
) -> None:
    """In a process of its own, for what libraries print and how it exits."""
    command = [LANDMARKS, "evaluate", *asked(manifest), "--json"]
    good = subprocess.run(command, capture_output=True, text=True)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout == evaluate(*asked(manifest), "--json").stdout
    bad = subprocess.run([*command, "--queries", "test"], capture_output=True, text=True)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "there are: gallery, more, query" in bad.stderr
    assert "Traceback" not in bad.stderr


@pytest.mark.slow
def test_a_model_of_the_users_own_is_evaluated_under_its_name(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.safetensors"
    write_tensors(read_tensors(shipped("scratch.safetensors")), mine, {"base": "scratch"})
    monkeypatch.setenv("LANDMARKS_TRAINED_MODELS", json.dumps({"mine": str(mine)}))
    source = (manifest, "--gallery", "gallery", "--queries", "query")
    [own, scratch] = evaluate(*source, "--models", "mine,scratch", "--json").json()
    assert own["model"] == "mine"
    assert {**own, "model": ""} == {**scratch, "model": ""}
