#!/bin/sh
# pillow-jxl-plugin 1.3.8 reads a JPEG XL of 16-bit grey with alpha to wrong pixels without an error:
# the bytes of each 16-bit value are taken for a grey and an alpha of 8 bits, and of each row of the
# photo two rows are made, of which the first half is shown. 16-bit grey, RGB and RGBA are right.
# Expected: the values of the same pixels in 8 bits, as for RGBA, or an error.
#
# imagecodecs 2026.3.6 (libjxl too) wrote the files and reads them as written.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 pillow-jxl-plugin==1.3.8 \
    imagecodecs==2026.3.6 numpy==2.4.6
cat >check.py <<'END'
import io
import imagecodecs, numpy as np, pillow_jxl
from PIL import Image
y, x = np.mgrid[0:96, 0:128]
grey = (x + y).astype(np.uint8)
solid = np.full_like(grey, 255)
def read(bands):
    pixels = np.stack(bands, -1).squeeze()
    written = imagecodecs.jpegxl_encode(pixels, lossless=True)
    assert np.array_equal(imagecodecs.jpegxl_decode(written), pixels), "imagecodecs reads it differently"
    return np.asarray(Image.open(io.BytesIO(written)))
def deep(*bands):
    return [band.astype(np.uint16) * 257 for band in bands]

for bands in ([grey, solid], [grey, grey, grey], [grey, grey, grey, solid]):
    assert np.array_equal(read(bands), np.stack(bands, -1)), f"changed: {len(bands)} bands of 8 bits"
for bands in ([grey, grey, grey], [grey, grey, grey, solid]):
    assert np.array_equal(read(deep(*bands)), np.stack(bands, -1)), f"changed: {len(bands)} of 16 bits"
assert np.array_equal(read(deep(grey)), grey.astype(np.uint16) * 257), "changed: grey of 16 bits"
wrong = read(deep(grey, solid))
assert wrong.shape == (96, 128, 2), f"changed: {wrong.shape}"
assert not (wrong[..., 1] == 255).all(), "changed: the alpha is right"
# The first two pixels' values of two bytes, as four greys and alphas.
first = np.stack(deep(grey, solid), -1)[0, :2].tobytes()
assert wrong[0, :4].tobytes() == first, "changed: the bytes are others"
END
venv/bin/python check.py
echo "as found: pillow-jxl-plugin 1.3.8 garbles 16-bit grey with alpha"
