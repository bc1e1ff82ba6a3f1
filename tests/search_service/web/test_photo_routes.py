"""Thumbnails and originals: only of points, below the roots, and only if they are photos."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.support.page_gallery import GALLERY, Files
from tests.support.page_stack import Page
from tests.support.search_stack import GALLERY as WITHOUT_FILES
from tests.support.search_stack import photos

pytestmark = pytest.mark.integration


def path_of(files: Files, name: str, kind: str = "thumbnail") -> str:
    return f"/photos/{GALLERY}/{files.ids[name]}/{kind}"


@pytest.mark.parametrize(
    ("name", "size", "shown"),
    [
        ("good.jpg", 320, (320, 240)),
        ("good.jpg", 160, (160, 120)),
        ("good.jpg", 960, (640, 480)),
        ("rotated.jpg", 320, (160, 320)),
        ("clear.png", 320, (64, 48)),
        ("page.webp", 320, (64, 48)),
        ("print.tif", 320, (64, 48)),
        ("deep.tif", 320, (64, 48)),
        ("phone.heic", 320, (64, 48)),
        ("web.avif", 320, (64, 48)),
        ("new.jxl", 320, (64, 48)),
        ("film.jp2", 320, (64, 48)),
        ("camera.dng", 320, (320, 240)),
        ("camera.dng", 960, (400, 300)),
    ],
)
async def test_a_thumbnail_is_a_small_upright_jpeg(
    page: Page, files: Files, name: str, size: int, shown: tuple[int, int]
) -> None:
    async with page.http.get(f"{path_of(files, name)}?size={size}") as answer:
        assert (answer.status, answer.content_type) == (200, "image/jpeg")
        image = Image.open(io.BytesIO(await answer.read()))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", shown)


@pytest.mark.parametrize(
    ("name", "kind", "how"),
    [
        ("good.jpg", "image/jpeg", "inline"),
        ("web.avif", "image/avif", "inline"),
        ("print.tif", "image/tiff", "attachment"),
        ("phone.heic", "image/heif", "attachment"),
        ("new.jxl", "image/jxl", "attachment"),
        ("camera.dng", "application/octet-stream", "attachment"),
    ],
)
async def test_an_original_is_shown_if_browsers_can_and_else_downloaded(
    page: Page, files: Files, name: str, kind: str, how: str
) -> None:
    async with page.http.get(path_of(files, name, "original")) as answer:
        assert (answer.status, answer.content_type) == (200, kind)
        assert answer.headers["Content-Disposition"].startswith(how)
        assert await answer.read() == (files.root / name).read_bytes()


async def test_an_unchanged_photo_is_not_sent_again(page: Page, files: Files) -> None:
    for kind in ("thumbnail", "original"):
        first = await page.http.get(path_of(files, "good.jpg", kind))
        etag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "private, max-age=300"
        again = await page.http.get(
            path_of(files, "good.jpg", kind), headers={"If-None-Match": etag}
        )
        assert (first.status, again.status, await again.read()) == (200, 304, b"")


async def test_a_thumbnail_is_cached(page: Page, files: Files) -> None:
    asked = f"{path_of(files, 'clear.png')}?size=160"
    first = await (await page.http.get(asked)).read()
    file = files.root / "clear.png"
    data = file.read_bytes()
    file.unlink()
    try:
        again = await page.http.get(asked)
        assert (again.status, await again.read()) == (200, first)
    finally:
        file.write_bytes(data)


async def test_a_file_changed_since_indexing_is_shown_but_not_cached(
    page: Page, files: Files
) -> None:
    async with page.http.get(path_of(files, "changed.jpg")) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


@pytest.mark.parametrize("kind", ["thumbnail", "original"])
@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("text.jpg", 415, "not a photo"),
        ("bomb.png", 415, "pixels"),
        ("large.jpg", 415, "larger than"),
        ("gone.jpg", 404, "does not exist"),
        ("secret.jpg", 403, "not below an allowed root"),
    ],
)
async def test_a_file_that_is_not_a_photo_or_outside_the_roots_is_reported(
    page: Page, files: Files, name: str, status: int, said: str, kind: str
) -> None:
    async with page.http.get(path_of(files, name, kind)) as answer:
        assert answer.status == status
        assert said in (await answer.json())["error"]["message"]


async def test_a_damaged_photo_has_no_thumbnail(page: Page, files: Files) -> None:
    async with page.http.get(path_of(files, "cut.jpg")) as answer:
        assert answer.status == 415
        assert "damaged" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("gallery", "point", "status"),
    [
        (GALLERY, "00000000-0000-0000-0000-000000000000", 404),
        (GALLERY, "..%2f..%2fetc%2fpasswd", 400),
        (GALLERY, "file:%2f%2f%2fetc%2fpasswd", 400),
        ("nowhere", "00000000-0000-0000-0000-000000000000", 404),
        (WITHOUT_FILES, str(photos()[0].id), 403),
    ],
)
async def test_only_photos_of_points_are_served(
    page: Page, files: Files, gallery: str, point: str, status: int
) -> None:
    for kind in ("thumbnail", "original"):
        assert (await page.http.get(f"/photos/{gallery}/{point}/{kind}")).status == status
    uri = f"file://{files.root}/good.jpg"
    asked = f"{path_of(files, 'gone.jpg')}?uri={uri}&path={uri}"
    assert (await page.http.get(asked)).status == 404


@pytest.mark.parametrize("size", ["0", "99999", "x", "-1"])
async def test_other_thumbnail_sizes_are_refused(page: Page, files: Files, size: str) -> None:
    assert (await page.http.get(f"{path_of(files, 'good.jpg')}?size={size}")).status == 400


@pytest.mark.parametrize(
    ("name", "kind", "how"),
    [
        ("good.jpg", "image/jpeg", "inline"),
        ("page.webp", "image/webp", "inline"),
        ("print.tif", "image/tiff", "attachment"),
    ],
)
async def test_an_original_is_sent_with_its_type_and_cannot_run_scripts(
    page: Page, files: Files, name: str, kind: str, how: str
) -> None:
    async with page.http.get(path_of(files, name, "original")) as answer:
        assert await answer.read() == (files.root / name).read_bytes()
        assert answer.content_type == kind
        assert answer.headers["Content-Disposition"].startswith(how)
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
