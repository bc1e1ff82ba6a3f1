"""Which files of a folder are photos, and what belongs to them."""

import pytest

from landmarks.photos.companions import sort_files
from landmarks.photos.file_types import SkipReason, file_reason, folder_reason, is_photo

PHOTOS = (
    "a.jpg a.JPEG a.jpe a.jfif a.png a.webp a.gif a.bmp a.tif a.TIFF a.mpo a.avif a.heic a.HEIF"
    " a.hif a.jxl a.jp2 a.j2k a.jpf a.dng a.CR2 a.cr3 a.crw a.nef a.ARW a.raf a.orf a.rw2 a.kdc"
)
SYSTEM_FOLDERS = "@eaDir #recycle $RECYCLE.BIN lost+found .thumbnails __MACOSX .Trash-1000"


@pytest.mark.parametrize("name", PHOTOS.split())
def test_a_photo_is_one_whatever_wrote_it(name):
    assert is_photo(f"2019/{name}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("IMG_1.MOV", SkipReason.VIDEO),
        ("IMG_1.AAE", SkipReason.SIDECAR),
        ("IMG_1.jpg.xmp", SkipReason.SIDECAR),
        ("a.jpg.supplemental-metadata.json", SkipReason.SIDECAR),
        ("notes.txt", SkipReason.DOCUMENT),
        ("more.zip", SkipReason.ARCHIVE),
        (".a.jpg", SkipReason.HIDDEN),
        ("._a.jpg", SkipReason.SYSTEM),
        ("Thumbs.db", SkipReason.SYSTEM),
        (".DS_Store", SkipReason.SYSTEM),
        ("README", SkipReason.OTHER),
        ("a.psd", SkipReason.OTHER),
    ],
)
def test_a_file_that_is_no_photo_has_a_reason(name, reason):
    assert file_reason(name) is reason


@pytest.mark.parametrize("name", SYSTEM_FOLDERS.split())
def test_a_folder_of_a_system_is_not_looked_into(name):
    assert folder_reason(name) is SkipReason.SYSTEM
    assert not is_photo(f"x/{name}/a.jpg")


def test_a_raw_file_beside_its_photo_is_that_photo_and_so_is_what_describes_it():
    names = ["IMG_1.CR2", "img_1.JPG", "IMG_1.CR2.xmp", "IMG_2.dng", "IMG_2.xmp"]
    found = sort_files(names)
    assert found.photos == {"img_1.JPG": ("IMG_1.CR2.xmp",), "IMG_2.dng": ("IMG_2.xmp",)}
    assert found.skipped["IMG_1.CR2"] is SkipReason.RAW_BESIDE_PHOTO
    both = sort_files(names, raw_too=True)
    assert both.photos == {
        "IMG_1.CR2": ("IMG_1.CR2.xmp",),
        "img_1.JPG": (),
        "IMG_2.dng": ("IMG_2.xmp",),
    }


@pytest.mark.parametrize(
    ("photo", "video"),
    [
        ("IMG_1.HEIC", "IMG_1.MOV"),
        ("IMG_1.HEIC", "IMG_1.MP4"),
        ("PXL_1.MP.jpg", "PXL_1.MP"),
        ("20200101_1.jpg", "20200101_1.mp4"),
    ],
)
def test_the_moving_part_of_a_live_photo_is_no_photo_and_no_video_of_its_own(photo, video):
    found = sort_files([photo, video, "other.mov"])
    assert found.photos == {photo: ()}
    assert found.skipped == {video: SkipReason.LIVE_PHOTO_VIDEO, "other.mov": SkipReason.VIDEO}


LONG = "Screenshot_2019-05-01-10-20-30-444_com.example.android.jpg"


@pytest.mark.parametrize(
    ("photo", "sidecar"),
    [
        ("a.jpg", "a.jpg.json"),
        ("a.jpg", "a.jpg.supplemental-metadata.json"),
        ("a.jpg", "a.jpg.supplemental-meta.json"),
        ("a.jpg", "a.jpg.suppl.json"),
        ("a.jpg", "a.jpg..json"),
        ("a(1).jpg", "a.jpg(1).json"),
        ("a(1).jpg", "a.jpg.supplemental-metadata(1).json"),
        ("a(1).jpg", "a(1).jpg.json"),
        ("a-edited.jpg", "a.jpg.supplemental-metadata.json"),
        (LONG, LONG[:46] + ".json"),
        ("a.heic", "A.AAE"),
        ("a.heic", "a.xmp"),
        ("a.heic", "a.heic.xmp"),
    ],
)
def test_a_sidecar_is_paired_with_its_photo_and_no_other(photo, sidecar):
    others = ["b.jpg", "a(2).jpg", "aa.jpg", LONG[:30] + "-9.jpg"]
    found = sort_files([photo, sidecar, *others])
    assert found.photos == {photo: (sidecar,)} | dict.fromkeys(others, ())
    assert found.skipped == {sidecar: SkipReason.SIDECAR}


def test_the_second_of_two_photos_of_a_name_has_the_second_description():
    names = ["a.jpg", "a(1).jpg", "a.jpg.supplemental-metadata.json"]
    found = sort_files([*names, "a.jpg.supplemental-metadata(1).json", "metadata.json"])
    assert found.photos == {
        "a.jpg": ("a.jpg.supplemental-metadata.json",),
        "a(1).jpg": ("a.jpg.supplemental-metadata(1).json",),
    }
