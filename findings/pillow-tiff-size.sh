#!/bin/sh
# Pillow 13.0.0: an unread TIFF with an orientation has its upright size already, while its EXIF still
# says that it must be turned; for JPEG, PNG, WebP and AVIF the size is that of the stored pixels.
# pillow-heif 1.8.1 turns HEIC and sets the orientation to 1 when the file is opened. Expected: one
# rule for the size that a header gives.
#
# To save as AVIF also takes the orientation out of the Exif object that the caller passed; the next
# file written with the same object has none. JPEG, PNG, WebP, TIFF and HEIF leave it.
#
# So "size, with sides swapped where the orientation is 5 to 8", read without decoding, is right for
# JPEG and wrong for TIFF.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 pillow-heif==1.8.1
cat >check.py <<'END'
import io
import pillow_heif
from PIL import Image
pillow_heif.register_heif_opener()
QUARTER_TURN = 6
stored = Image.new("RGB", (80, 40))
def opened(kind):
    exif = Image.Exif()
    exif[0x0112] = QUARTER_TURN
    file = io.BytesIO()
    stored.save(file, kind, exif=exif)
    left = exif.get(0x0112)
    assert left == (None if kind == "AVIF" else QUARTER_TURN), f"changed: {kind} leaves {left}"
    return Image.open(file)
for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
    image = opened(kind)
    assert (image.size, image.getexif().get(0x0112)) == ((80, 40), QUARTER_TURN), f"changed: {kind}"
tiff = opened("TIFF")
assert tiff.size == (40, 80), f"changed: an unread TIFF is {tiff.size}"
assert tiff.getexif().get(0x0112) == QUARTER_TURN, "changed: an unread TIFF has no orientation"
tiff.load()
assert tiff.size == (40, 80), f"changed: a TIFF that was read is {tiff.size}"
assert tiff.getexif().get(0x0112) is None, "changed: a TIFF that was read has an orientation"
file = io.BytesIO()
exif = Image.Exif()
exif[0x0112] = QUARTER_TURN
stored.save(file, "HEIF", exif=exif.tobytes())
heic = Image.open(file)
assert (heic.size, heic.getexif().get(0x0112)) == ((40, 80), 1), "changed: HEIC"
assert heic.info["original_orientation"] == QUARTER_TURN, "changed: HEIC's own orientation"
END
venv/bin/python check.py
echo "as found: Pillow 13.0.0: an unread TIFF has its upright size and its orientation, a JPEG the stored size; AVIF empties the Exif"
