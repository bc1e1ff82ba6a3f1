"""ICC profiles made for tests: RGB by its primaries, and grey by its gamma (ICC.1:2010, v2)."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

# Chromaticities x, y of red, green and blue, and the gamma.
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_D65 = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def rgb_profile(primaries: tuple[tuple[float, float], ...], gamma: float | None = None) -> bytes:
    """Return a display's profile; without a gamma, with the curve of sRGB."""
    columns = np.array([_xyz(*one) for one in primaries]).T
    white = _xyz(*_D65)
    matrix = columns * np.linalg.solve(columns, white)
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD @ matrix
    tags = {f"{name}XYZ": _xyz_tag(adapted[:, place]) for place, name in enumerate("rgb")}
    return _profile("RGB ", {**tags, **{f"{name}TRC": _curve(gamma) for name in "rgb"}})


def grey_profile(gamma: float) -> bytes:
    """Return a profile of grey."""
    return _profile("GRAY", {"kTRC": _curve(gamma)})


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1, (1 - x - y) / y])


def _xyz_tag(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + np.rint(values * 65536).astype(">i4").tobytes()


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv\0\0\0\0\0\0\0\1" + round(gamma * 256).to_bytes(2, "big")
    levels = np.linspace(0, 1, 1024)
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    values = np.rint(light * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + (1024).to_bytes(4, "big") + values


def _profile(space: str, tags: dict[str, bytes]) -> bytes:
    text = b"made for tests\0"
    tags = {
        "desc": b"desc\0\0\0\0" + len(text).to_bytes(4, "big") + text + bytes(78),
        "cprt": b"text\0\0\0\0" + text,
        "wtpt": _xyz_tag(_D50),
        **tags,
    }
    start = 128 + 4 + 12 * len(tags)
    table, data = len(tags).to_bytes(4, "big"), b""
    for name, tag in tags.items():
        table += name.encode() + (start + len(data)).to_bytes(4, "big")
        table += len(tag).to_bytes(4, "big")
        data += tag + bytes(-len(tag) % 4)
    header = bytearray(128)
    header[0:4] = (start + len(data)).to_bytes(4, "big")
    header[8:12] = b"\2\x10\0\0"
    header[12:24] = b"mntr" + space.encode() + b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = _xyz_tag(_D50)[8:]
    return bytes(header) + table + data


def in_space(image: Image.Image, profile: bytes) -> Image.Image:
    """Return an sRGB photo written in the colours of a profile."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    other = ImageCms.ImageCmsProfile(BytesIO(profile))
    return ImageCms.profileToProfile(image, srgb, other)
