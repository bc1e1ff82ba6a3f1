"""A gallery whose photos are files, some of which are no photos any more."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pillow_heif
import pillow_jxl
from PIL import Image

from landmarks.vector_store.client import connect
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.points import PhotoPayload, Point, point_id
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.raw_files import dng, planes
from tests.support.search_encoder import MODELS, digest_of, encode
from tests.support.search_stack import draw

pillow_heif.register_heif_opener()
assert pillow_jxl.Encoder
GALLERY = "files"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Files:
    """A gallery of files, some of which are no photos any more, and its points' ids."""

    root: Path
    ids: dict[str, str]


def picture(width: int = 640, height: int = 480, kind: str = "JPEG", **options: object) -> bytes:
    noise = np.random.default_rng(7).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height)).save(out, kind, **options)
    return out.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is on the right
    return picture(640, 320, exif=exif)


def fill_with_files(qdrant: VectorStoreSettings, folder: Path) -> Files:
    """Index points whose photos are files: good ones, and every kind of bad one."""
    root = folder / "files"
    root.mkdir()
    outside = folder / "secret.jpg"
    outside.write_bytes(picture())
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    contents = {
        "good.jpg": picture(),
        "rotated.jpg": rotated(),
        "clear.png": picture(64, 48, "PNG"),
        "page.webp": picture(64, 48, "WEBP"),
        "print.tif": picture(64, 48, "TIFF"),
        "deep.tif": planes(np.full((48, 64, 3), 40_000, np.uint16), 48, 16),
        "phone.heic": picture(64, 48, "HEIF"),
        "web.avif": picture(64, 48, "AVIF"),
        "new.jxl": picture(64, 48, "JXL"),
        "film.jp2": picture(64, 48, "JPEG2000"),
        "camera.dng": dng(Image.open(io.BytesIO(picture(400, 300)))),
        "cut.jpg": picture()[:3000],
        "text.jpg": b"<script>alert(1)</script>",
        "bomb.png": bomb.getvalue(),
        "large.jpg": b"\xff\xd8" + bytes(2_000_000),
    }
    uris = {}
    for name, data in contents.items():
        (root / name).write_bytes(data)
        uris[name] = f"file://{root / name}"
    uris |= {"gone.jpg": f"file://{root}/gone.jpg", "secret.jpg": f"file://{outside}"}
    uris["changed.jpg"] = f"file://{root}/good.jpg"
    client = connect(qdrant)
    collections, store = Collections(client, qdrant), PointStore(client, qdrant)
    for model in MODELS:
        made = collections.create_beside(GALLERY, model, digest_of(model), MODELS[model][0])
        store.upsert(
            made.name,
            [
                Point(
                    point_id(GALLERY, "files", name),
                    encode(model, draw("Atomium", number)),
                    PhotoPayload(
                        uri=uri,
                        source="files",
                        path=name,
                        sha256=sha256(contents.get(name, b"another")).hexdigest(),
                        width=640,
                        height=480,
                        indexed_at=_NOW,
                        job_id="job",
                        landmark="Atomium",
                    ).to_payload(),
                )
                for number, (name, uri) in enumerate(uris.items())
            ],
        )
        collections.promote(made.name)
    client.close()
    return Files(root, {name: str(point_id(GALLERY, "files", name)) for name in uris})
