"""What a folder or zip file lists, skips, counts and calls its photos."""

import os
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

import pytest

from landmarks.errors import InvalidInputError
from landmarks.photos.entry import Entry
from landmarks.photos.labels import ListingRules
from landmarks.photos.listing_counts import LabelTally, in_words
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Source, Sources

ACCENTED = "Sacré-Cœur"
DECOMPOSED = unicodedata.normalize("NFD", ACCENTED)


def put(path: Path, data: bytes = b"photo") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def listed(root: Path, source: object, **rules: object) -> tuple[Source, list[Entry]]:
    opened = Sources(SourceRoots([str(root)])).open(str(source), (), ListingRules(**rules))
    return opened, list(opened.entries())


def counts(source: Source) -> dict[str, tuple[int, int]]:
    return {one.reason.value: (one.files, one.folders) for one in source.skipped}


def labels(entries: list[Entry]) -> dict[str, str | None]:
    assert not [one.problem for one in entries if one.problem]
    return {one.path: one.landmark for one in entries}


# Nothing is passed over in silence


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    root = tmp_path / "phone"
    for name in (
        "2019/Italy/Colosseum/IMG_1.HEIC",
        "2019/Italy/Colosseum/IMG_1.MOV",
        "2019/Italy/Colosseum/IMG_1.AAE",
        "2019/Italy/Colosseum/IMG_2.CR2",
        "2019/Italy/Colosseum/IMG_2.JPG",
        "2019/Italy/Colosseum/IMG_2.xmp",
        "2019/Italy/@eaDir/IMG_1.HEIC/thumb.jpg",
        "2020/France/.thumbnails/x.jpg",
        "2020/France/private/y.jpg",
        "2020/France/Thumbs.db",
        "2020/France/clip.mp4",
        "2020/France/notes.pdf",
        "2020/France/trip.zip",
        "2020/France/.hidden.jpg",
        "2020/France/layers.psd",
        "2020/France/Eiffel/IMG_3.avif",
    ):
        put(root / name)
    return root


COUNTED = {
    "sidecar": (2, 0),
    "video": (1, 0),
    "live_photo_video": (1, 0),
    "raw_beside_photo": (1, 0),
    "document": (1, 0),
    "archive": (1, 0),
    "hidden": (1, 0),
    "system": (1, 2),
    "ignored": (0, 1),
    "other": (1, 0),
}


def test_every_file_is_listed_or_counted_with_a_reason(phone):
    source, found = listed(phone, phone, ignore=("private",))
    assert [one.path for one in found] == [
        "2019/Italy/Colosseum/IMG_1.HEIC",
        "2019/Italy/Colosseum/IMG_2.JPG",
        "2020/France/Eiffel/IMG_3.avif",
    ]
    assert counts(source) == COUNTED
    list(source.entries())
    assert counts(source) == COUNTED  # a listing that begins again counts from zero
    assert in_words(source.skipped).startswith("2 sidecars, 1 video, 1 video of a live photo")
    assert "1 system file, 2 system folders, 1 folder to ignore" in in_words(source.skipped)


def test_sidecars_are_paired_with_their_photos(phone):
    _, found = listed(phone, phone)
    beside = {one.path.rpartition("/")[2]: one.sidecars for one in found}
    assert beside["IMG_1.HEIC"] == ("2019/Italy/Colosseum/IMG_1.AAE",)
    assert beside["IMG_2.JPG"] == ("2019/Italy/Colosseum/IMG_2.xmp",)
    _, both = listed(phone, phone, raw_too=True)
    assert "2019/Italy/Colosseum/IMG_2.CR2" in [one.path for one in both]


def test_a_zip_file_counts_and_pairs_as_a_folder_does(phone, tmp_path):
    archive = tmp_path / "phone.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(phone.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(phone).as_posix())
    source, found = listed(tmp_path, archive, ignore=("private",))
    folder, expected = listed(phone, phone, ignore=("private",))
    assert {one.path: (one.landmark, one.sidecars) for one in found} == {
        one.path: (one.landmark, one.sidecars) for one in expected
    }
    # Here each file in such a folder is seen.
    assert counts(source) == counts(folder) | {"system": (3, 0), "ignored": (1, 0)}


def test_a_folder_without_photos_says_what_it_has(tmp_path):
    put(tmp_path / "a/clip.mov")
    with pytest.raises(InvalidInputError, match=r"has no photos: .*\.heic.*; skipped: 1 video"):
        listed(tmp_path, tmp_path)


# Whose landmark is it?


def test_the_user_says_which_folder_is_the_landmark(phone):
    for rule, expected in {
        "": ["2019", "2019", "2020"],
        "last": ["Colosseum", "Colosseum", "Eiffel"],
        "level:2": ["Italy", "Italy", "France"],
        "{year}/{country}/{landmark}": ["Colosseum", "Colosseum", "Eiffel"],
        "none": [None, None, None],
    }.items():
        _, found = listed(phone, phone, label=rule, ignore=("private",))
        assert [one.landmark for one in found] == expected


def test_labels_are_counted_and_doubted_where_they_are_times(phone):
    _, found = listed(phone, phone, ignore=("private",))
    tally = LabelTally()
    unreadable = Entry("x.jpg", "", problem="gone")
    assert list(tally.of([*found, unreadable])) == [*found, unreadable]
    assert (tally.counts().distinct, tally.counts().unlabelled) == (2, 0)
    assert tally.counts().most == (("2019", 2), ("2020", 1))
    assert "'2019', '2020' look like times" in tally.doubt()
    named = LabelTally()
    list(named.of(listed(phone, phone, label="last", ignore=("private",))[1]))
    assert named.doubt() == ""


def test_counts_of_labels_fit_a_message_whatever_labels_are():
    tally = LabelTally()
    list(tally.of(Entry(f"{n}", "x", landmark=f"{n} " * 9000) for n in range(300)))
    found = tally.counts()
    assert found.distinct == 300
    assert sum(len(label) for label, _ in found.most) <= 8000


def test_a_name_with_a_nul_in_a_zip_file_ends_there(tmp_path):
    archive = unflagged(tmp_path / "a.zip", {b"Taj/a.jpg\0.txt": 3})
    assert labels(listed(tmp_path, archive)[1]) == {"Taj/a.jpg": "Taj"}


def test_rules_are_refused_where_they_would_do_nothing(tmp_path):
    put(tmp_path / "m.csv", b"path,landmark\na.jpg,x\n")
    for rules in ({"label": "last"}, {"ignore": ("x",)}, {"raw_too": True}):
        with pytest.raises(InvalidInputError, match=r"was given, but .* is a manifest") as caught:
            listed(tmp_path, tmp_path / "m.csv", **rules)
        assert [caught.value.field] == list(rules)


def test_both_forms_of_a_folders_name_are_one_landmark_and_paths_stay(tmp_path):
    put(tmp_path / DECOMPOSED / "a.jpg")
    put(tmp_path / ACCENTED / "b.jpg")
    _, found = listed(tmp_path, tmp_path)
    assert labels(found) == {f"{DECOMPOSED}/a.jpg": ACCENTED, f"{ACCENTED}/b.jpg": ACCENTED}


# Zip files


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"photo")
    return path


class Raw(zipfile.ZipInfo):
    """A member whose name is written as these bytes, without saying what they are."""

    stored = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - so is it called
        return self.stored, 0


def unflagged(path: Path, names: dict[bytes, int], extra: bytes = b"") -> Path:
    """Make a zip file with names of these bytes, each as by such a system."""
    with zipfile.ZipFile(path, "w") as file:
        for name, system in names.items():
            info = Raw(name.decode("cp437"))
            info.stored, info.create_system, info.extra = name, system, extra
            file.writestr(info, b"photo")
    return path


def test_a_zip_file_with_one_top_folder_is_the_folder_inside_it(tmp_path):
    inner = ("photos/Atomium/0.jpg", "photos/Big_Ben/1.jpg", "photos/2.jpg", "photos/.DS_Store")
    archive = zipped(tmp_path / "finder.zip", *inner, "__MACOSX/photos/Atomium/._0.jpg")
    source, found = listed(tmp_path, archive)
    # Paths stay as they are, so that points keep their ids.
    assert labels(found) == {
        "photos/2.jpg": None,
        "photos/Atomium/0.jpg": "Atomium",
        "photos/Big_Ben/1.jpg": "Big_Ben",
    }
    assert counts(source) == {"system": (2, 0)}
    assert source.notes == ("labels are of the folders in 'photos', as all photos are in it",)
    assert labels(listed(tmp_path, f"zip://photos::{archive}")[1])["Atomium/0.jpg"] == "Atomium"


def test_a_zip_file_of_one_landmark_keeps_its_folder_as_the_label(tmp_path):
    archive = zipped(tmp_path / "one.zip", "Atomium/0.jpg", "Atomium/1.jpg", "readme.txt")
    source, found = listed(tmp_path, archive)
    assert set(labels(found).values()) == {"Atomium"}
    assert source.notes == ()
    _, two = listed(tmp_path, zipped(tmp_path / "two.zip", "a/x/0.jpg", "b/1.jpg"))
    assert set(labels(two).values()) == {"a", "b"}


def test_labels_of_googles_export_are_its_albums_and_a_note_says_which_are_years(tmp_path):
    inner = ("Taj/a.jpg", "Taj/a.jpg.supplemental-metadata.json", "Photos from 2019/b.jpg")
    names = [f"Takeout/Google Fotos/{name}" for name in inner]
    source, found = listed(tmp_path, zipped(tmp_path / "takeout.zip", *names, "Takeout/x.html"))
    tally = LabelTally()
    list(tally.of(found))
    assert dict(tally.counts().most) == {"Taj": 1, "Photos from 2019": 1}
    assert "the labels 'Photos from 2019' look like times" in tally.doubt()
    assert counts(source) == {"sidecar": (1, 0), "document": (1, 0)}
    (album,) = [one for one in found if one.landmark == "Taj"]
    assert album.sidecars == ("Takeout/Google Fotos/Taj/a.jpg.supplemental-metadata.json",)


@pytest.mark.parametrize(
    ("stored", "system"),
    [
        (DECOMPOSED.encode(), 3),  # as macOS' Finder
        (ACCENTED.encode(), 0),
        (ACCENTED.encode("cp1252"), 3),  # old Unix
    ],
)
def test_a_name_in_a_zip_file_is_read_as_its_maker_meant_it(tmp_path, stored, system):
    archive = unflagged(tmp_path / "a.zip", {stored + b"/0.jpg": system})
    _, (entry,) = listed(tmp_path, archive)
    assert entry.landmark == ACCENTED
    assert Sources(SourceRoots([str(tmp_path)])).read(entry, 10) == b"photo"


def test_a_name_in_a_zip_file_by_dos_is_of_its_code_page(tmp_path):
    archive = unflagged(tmp_path / "a.zip", {"Café/0.jpg".encode("cp437"): 0})
    assert listed(tmp_path, archive)[1][0].landmark == "Café"


@pytest.mark.parametrize(("renamed", "label"), [(False, "東京"), (True, "??")])
def test_a_name_in_a_zip_file_is_what_its_extra_field_says(tmp_path, renamed, label):
    stored = b"??/0.jpg"
    checksum = zlib.crc32(b"before" if renamed else stored)
    field = b"\x01" + struct.pack("<I", checksum) + "東京/0.jpg".encode()
    extra = b"\x01\x00\x02\x00xx" + struct.pack("<HH", 0x7075, len(field)) + field
    archive = unflagged(tmp_path / "a.zip", {stored: 0}, extra)
    assert listed(tmp_path, archive)[1][0].landmark == label


def test_backslashes_in_a_zip_file_separate_folders(tmp_path):
    archive = zipped(tmp_path / "w.zip", "photos\\Atomium\\0.jpg", "photos\\Big Ben\\1.jpg")
    _, found = listed(tmp_path, archive)
    assert [one.landmark for one in found] == ["Atomium", "Big Ben"]
    assert Sources(SourceRoots([str(tmp_path)])).read(found[0], 10) == b"photo"


def test_a_path_that_leads_out_of_a_zip_file_is_counted(tmp_path):
    archive = zipped(tmp_path / "e.zip", "../evil.jpg", "/root.jpg", "a/good.jpg", "..\\w.jpg")
    source, found = listed(tmp_path, archive)
    assert [one.path for one in found] == ["a/good.jpg"]
    assert counts(source) == {"outside": (3, 0)}


# Odd names


def test_names_with_colons_are_names(tmp_path):
    root = tmp_path / "a::b"
    names = ["x::y.jpg", "x%3A%3Ay.jpg", "::/:.jpg", "c:/d:::e.jpg"]
    for name in names:
        put(root / name, name.encode())
    zipped(tmp_path / "p::q.zip", *names)
    sources = Sources(SourceRoots([str(tmp_path)]))
    for place in (root, tmp_path / "p::q.zip"):
        found = list(sources.open(str(place)).entries())
        assert sorted(one.path for one in found) == sorted(names)
        assert not any(one.problem for one in found)
        read = [sources.read(one, 100) for one in found]
        assert read == [one.path.encode() for one in found] or set(read) == {b"photo"}
    put(root / "m.csv", b"path,landmark\nx::y.jpg,Taj\n")
    (entry,) = sources.open(f"{root}/m.csv").entries()
    assert sources.read(entry, 100) == b"x::y.jpg"


@pytest.mark.parametrize("name", ["x.zip", "x.csv", "x.txt"])
def test_a_folder_is_one_whatever_it_is_called(tmp_path, name):
    put(tmp_path / name / "Taj/a.jpg")
    source, found = listed(tmp_path, tmp_path / name)
    assert labels(found) == {"Taj/a.jpg": "Taj"}
    assert source.name == name


def test_folders_may_be_deeper_than_any_stack(tmp_path):
    depth = 1100  # more than Python's stack has, and few enough for a quick test
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        _, (entry,) = listed(tmp_path, tmp_path, label="last")
        assert (entry.path.count("/"), entry.landmark, entry.problem) == (depth, "d", "")
        assert Sources(SourceRoots([str(tmp_path)])).read(entry, 1) == b""
    finally:
        os.close(here)
        _remove(tmp_path, depth)


def _remove(root: Path, depth: int) -> None:
    """Remove folders in folders, without recursion."""
    (root / "/".join(["d"] * depth) / "a.jpg").unlink(missing_ok=True)
    for level in range(depth, 0, -1):
        (root / "/".join(["d"] * level)).rmdir()


def test_a_deep_zip_file_is_listed(tmp_path):
    name = "d/" * 1500 + "a.jpg"
    _, (entry,) = listed(tmp_path, zipped(tmp_path / "deep.zip", name), label="last")
    assert (entry.path, entry.landmark) == (name, "d")
