"""Labelled photos: what a manifest or a folder gives, and what it cannot be."""

from pathlib import Path

import pytest

from landmarks.errors import InvalidInputError
from landmarks.retrieval.labelled_photos import LabelledPhoto, read_photos

HEADER = "path,landmark,split,season"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Atomium/1.jpg", "Atomium/2.jpg", "Soreq Cave/1.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"only its name is read")
    return tmp_path


def manifest(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_photos_of_the_requested_splits_come_in_the_order_of_the_manifest(folder: Path) -> None:
    path = manifest(
        folder,
        "Soreq Cave/1.png,Soreq Cave,query,winter",
        "Atomium/2.jpg,Atomium,gallery,summer",
        "Atomium/1.jpg,Atomium,train,spring",
    )
    photos = read_photos(path, ["gallery", "query"])
    assert [photo.name for photo in photos] == ["Soreq Cave/1.png", "Atomium/2.jpg"]
    assert photos[1] == LabelledPhoto(
        path=folder / "Atomium/2.jpg",
        name="Atomium/2.jpg",
        landmark="Atomium",
        split="gallery",
        columns={"split": "gallery", "season": "summer"},
    )
    assert len(read_photos(path, [])) == 3


def test_in_a_folder_the_landmark_is_the_sub_folder_and_there_are_no_splits(folder: Path) -> None:
    photos = read_photos(folder, [])
    assert [(photo.name, photo.landmark, photo.split) for photo in photos] == [
        ("Atomium/1.jpg", "Atomium", ""),
        ("Atomium/2.jpg", "Atomium", ""),
        ("Soreq Cave/1.png", "Soreq Cave", ""),
    ]
    with pytest.raises(InvalidInputError, match="is a folder; only a manifest"):
        read_photos(folder, ["train"])


def test_a_relative_path_is_one_of_this_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert [photo.path for photo in read_photos(Path(folder.name), [])] == [
        folder / "Atomium/1.jpg",
        folder / "Atomium/2.jpg",
        folder / "Soreq Cave/1.png",
    ]


def test_a_photo_that_is_listed_again_is_left_out(folder: Path) -> None:
    path = manifest(folder, *["Atomium/1.jpg,Atomium,a,x", "./Atomium/1.jpg,Another,b,y"])
    assert [photo.landmark for photo in read_photos(path, [])] == ["Atomium"]
    assert [photo.landmark for photo in read_photos(path, ["b"])] == ["Another"]


def test_a_missing_split_is_named_with_those_that_exist(folder: Path) -> None:
    path = manifest(folder, "Atomium/1.jpg,Atomium,train,x", "Atomium/2.jpg,Atomium,val,x")
    for asked in (["test"], ["train", "test"], ["test", "val"]):
        with pytest.raises(InvalidInputError, match=r"a split of test; there are: train, val"):
            read_photos(path, asked)


def test_photos_that_cannot_be_used_are_counted_and_the_first_is_named(folder: Path) -> None:
    rows = [
        "Atomium/1.jpg,Atomium,train,x",
        "Atomium/7.jpg,Atomium,train,x",
        "Atomium/2.jpg,,train,x",
        "/etc/passwd,Atomium,train,x",
    ]
    with pytest.raises(InvalidInputError, match=r"3 of 4 photos .* Atomium/7\.jpg: .* no such fil"):
        read_photos(manifest(folder, *rows), ["train"])
    with pytest.raises(InvalidInputError, match=r"1 of 1 .* Atomium/2\.jpg: it has no landmark"):
        read_photos(manifest(folder, rows[2]), [])
    with pytest.raises(InvalidInputError, match="its path is absolute"):
        read_photos(manifest(folder, rows[3]), [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\n", "no column 'landmark'"),
        ("path,landmark\n", "no rows"),
        ("path,landmark\nAtomium/1.jpg,Atomium\n", "no column 'split'"),
        ("path,landmark,split\n\xff", "not UTF-8"),
    ],
    ids=["no landmark", "empty", "no split", "no text"],
)
def test_a_manifest_that_cannot_be_used_is_refused(folder: Path, text: str, said: str) -> None:
    path = folder / "manifest.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInputError, match=said):
        read_photos(path, ["train"] if "split" in said else [])


def test_what_is_no_source_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="does not exist"):
        read_photos(folder / "absent.csv", [])
    with pytest.raises(InvalidInputError, match="neither a folder"):
        read_photos(folder / "Atomium/1.jpg", [])
    (folder / "odd.csv").mkdir()  # a folder, whatever it is called
    with pytest.raises(InvalidInputError, match="has no photos"):
        read_photos(folder / "odd.csv", [])
