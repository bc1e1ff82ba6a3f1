"""Photos drawn for tests: the same pixels everywhere, and something to see in them."""

import zlib
from io import BytesIO

import numpy as np
from PIL import Image


def drawn_photo(width: int = 320, height: int = 240, seed: int = 0) -> Image.Image:
    """Return a photo-like picture: sky, ground, a tower and blobs; other for each seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / width, y / height
    sky = np.stack([120 + 60 * v, 150 + 50 * v, 230 - 40 * v], axis=-1)
    ground = np.stack([90 + 40 * u, 110 - 30 * u, 60 + 0 * u], axis=-1)
    pixels = np.where((v > 0.7)[..., None], ground, sky)
    left, right, top = random.uniform(0.2, 0.4), random.uniform(0.5, 0.7), random.uniform(0.1, 0.4)
    tower = (u > left) & (u < right) & (v > top) & (v < 0.8)
    stripes = 40 * np.sign(np.sin(v * random.uniform(40, 90)))
    pixels = np.where(tower[..., None], random.uniform(60, 200, 3) + stripes[..., None], pixels)
    for _ in range(6):
        near = np.exp(-((u - random.random()) ** 2 + (v - random.random()) ** 2) / 0.01)
        pixels = pixels + near[..., None] * random.uniform(-90, 90, 3)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return the image as a file of one format."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    """Return EXIF data that hold an orientation."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def png_declaring(width: int, height: int) -> bytes:
    """Return a PNG whose header declares a size that its data do not have."""
    data = bytearray(saved(Image.new("L", (1, 1))))
    start = data.index(b"IHDR") + 4
    data[start : start + 8] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    crc = zlib.crc32(bytes(data[start - 4 : start + 13]))
    data[start + 13 : start + 17] = crc.to_bytes(4, "big")
    return bytes(data)
