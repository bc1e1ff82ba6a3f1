import csv
from pathlib import Path

import pytest
from PIL import Image

from landmarks_tools.sample_gallery.gallery import ensure_sample_gallery, read_manifest

NAMES = ("Big_Ben", "Pyramids_of_Giza")
COLUMNS = (
    "path,landmark,split,view,prominence,occluded,azimuth,elevation,distance,time_of_day,season"
)


def draw(directory: Path, views: int = 4, seed: int = 0) -> Path:
    return ensure_sample_gallery(directory, views, 32, seed, landmarks=NAMES, workers=1)


def pictures(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*.jpg")
    }


def test_the_manifest_has_a_row_for_each_picture(tmp_path: Path) -> None:
    directory = draw(tmp_path)

    assert directory == tmp_path
    with (directory / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == COLUMNS
    assert {row["path"] for row in rows} == set(pictures(directory))
    assert rows[0]["path"] == "images/Big_Ben/00.jpg"
    assert [row["landmark"] for row in rows] == ["Big_Ben"] * 4 + ["Pyramids_of_Giza"] * 4
    assert all(0.0 <= float(row["prominence"]) <= 1.0 for row in rows)
    assert all(float(row["distance"]) > 0.0 for row in rows)
    with Image.open(directory / rows[0]["path"]) as image:
        assert (image.format, image.size) == ("JPEG", (32, 32))


def test_the_last_quarter_of_the_views_is_the_queries(tmp_path: Path) -> None:
    photos = read_manifest(draw(tmp_path))

    assert [photo.split for photo in photos[:4]] == ["gallery", "gallery", "gallery", "query"]


def test_the_same_parameters_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, again = pictures(draw(tmp_path / "a")), pictures(draw(tmp_path / "b"))
    other = pictures(draw(tmp_path / "c", seed=1))

    assert first == again
    assert all(first[path] != other[path] for path in first)


def test_a_half_made_gallery_is_completed_and_what_is_there_is_not_drawn_again(
    tmp_path: Path,
) -> None:
    whole = pictures(draw(tmp_path))
    manifest = (tmp_path / "manifest.csv").read_bytes()
    kept, lost = tmp_path / "images/Big_Ben/00.jpg", tmp_path / "images/Big_Ben/02.jpg"
    lost.unlink()
    (tmp_path / "manifest.csv").unlink()
    drawn_at = kept.stat().st_mtime_ns, kept.stat().st_ino

    draw(tmp_path)

    assert pictures(tmp_path) == whole
    assert (tmp_path / "manifest.csv").read_bytes() == manifest
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == drawn_at


def test_a_truncated_or_foreign_picture_is_drawn_again(tmp_path: Path) -> None:
    whole = pictures(draw(tmp_path))
    (tmp_path / "manifest.csv").unlink()
    (tmp_path / "images/Big_Ben/00.jpg").write_bytes(b"not a picture")
    Image.new("RGB", (32, 32)).save(tmp_path / "images/Big_Ben/01.jpg")

    draw(tmp_path)

    assert pictures(tmp_path) == whole


def test_a_folder_with_other_parameters_gets_the_pictures_asked_for(tmp_path: Path) -> None:
    wanted = pictures(draw(tmp_path / "wanted", seed=1))
    draw(tmp_path / "used")

    assert pictures(draw(tmp_path / "used", seed=1)) == wanted


def test_a_complete_gallery_is_left_alone(tmp_path: Path) -> None:
    draw(tmp_path)
    seen: list[tuple[int, int]] = []
    made = (tmp_path / "manifest.csv").stat().st_mtime_ns

    ensure_sample_gallery(
        tmp_path, 4, 32, progress=lambda done, total: seen.append((done, total)), landmarks=NAMES
    )

    assert seen == [(8, 8)]
    assert (tmp_path / "manifest.csv").stat().st_mtime_ns == made


def test_processes_draw_what_one_process_draws_and_progress_counts_up(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    ensure_sample_gallery(
        tmp_path / "two", 4, 32, progress=lambda done, total: seen.append((done, total)),
        landmarks=NAMES, workers=2,
    )  # fmt: skip

    assert seen == [(done, 8) for done in range(1, 9)]
    assert pictures(tmp_path / "two") == pictures(draw(tmp_path / "one"))


def test_without_a_folder_the_gallery_lies_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    directory = ensure_sample_gallery(views=1, size=16, landmarks=("Big_Ben",))

    assert tmp_path in directory.parents
    assert directory.parent.name == "sample"


def test_unknown_landmarks_and_empty_galleries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Atlantis"):
        ensure_sample_gallery(tmp_path, landmarks=("Atlantis",))
    with pytest.raises(ValueError, match="at least one view"):
        ensure_sample_gallery(tmp_path, views=0)
