#!/bin/sh
# Pillow 13.0.0 reads some TIFF files of 16 and 32 bits to wrong values without an error:
# - 16-bit RGB with planes apart: right if compressed, garbled if uncompressed;
# - 16-bit grey where 0 is white: inverted if little-endian, refused if big-endian (8-bit is right);
# - 32-bit unsigned grey: values from 2**31 on are negative.
# Expected: the values of the same pixels in 8 bits, or an error.
#
# tifffile 2026.3.3 wrote the files and reads all of them as written.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 \
    imagecodecs==2026.3.6 numpy==2.4.6
cat >check.py <<'END'
import io
import numpy as np, tifffile
from PIL import Image, UnidentifiedImageError
y, x = np.mgrid[0:64, 0:96]
grey = (x * 2 + y).astype(np.uint8)
colour = np.stack([grey, 255 - grey, np.full_like(grey, 90)], -1)
grey16, colour16 = grey.astype(np.uint16) * 257, colour.astype(np.uint16) * 257
def pillow(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    written = file.getvalue()
    assert np.array_equal(tifffile.imread(io.BytesIO(written)), pixels), "tifffile reads it differently"
    image = Image.open(io.BytesIO(written))
    return np.asarray(image)

apart = {"photometric": "rgb", "planarconfig": "separate"}
planes = colour16.transpose(2, 0, 1)
assert np.array_equal(pillow(planes, compression="deflate", **apart), colour), "changed: compressed planes"
assert np.array_equal(pillow(colour.transpose(2, 0, 1), **apart), colour), "changed: planes of 8 bits"
wrong = np.abs(pillow(planes, **apart).astype(int) - colour).mean()
assert wrong > 20, f"changed: uncompressed planes of 16 bits are off by {wrong:.1f} of 255"

white = {"photometric": "miniswhite"}
assert np.array_equal(pillow(255 - grey, **white), grey), "changed: 8 bits, 0 is white"
assert np.array_equal(pillow(65535 - grey16, byteorder="<", **white), 65535 - grey16), "changed: 16 bits"
try:
    pillow(65535 - grey16, byteorder=">", **white)
    raise SystemExit("changed: 16 bits big-endian, 0 is white, is read")
except UnidentifiedImageError:
    pass

large = pillow(grey16.astype(np.uint32) * 65537, photometric="minisblack")
assert large.min() < 0, "changed: 32-bit unsigned values stay positive"
END
venv/bin/python check.py
echo "as found: Pillow 13.0.0 garbles uncompressed 16-bit planes, inverts 16-bit grey, signs 32-bit grey"
