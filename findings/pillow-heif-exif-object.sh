#!/bin/sh
# pillow-heif 1.8.1 writes HEIC differently for the same EXIF: given as bytes, the orientation becomes
# an `irot` property, and the file reads back turned; given as Pillow's `Image.Exif` object, which
# Pillow's own plugins take, there is no `irot`, only the tag. As readers of HEIC follow `irot` and not
# the tag (pillow-heif resets it to 1), the photo reads back unturned, and no error is seen.
#
# So "save with the Exif object of the photo" keeps JPEG, PNG, WebP and TIFF upright and lays HEIC on
# its side; pass `exif.tobytes()`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 pillow-heif==1.8.1
cat >check.py <<'END'
import io
import pillow_heif
from PIL import Image, ImageOps
pillow_heif.register_heif_opener()
exif = Image.Exif()
exif[0x0112] = 6  # to be turned by a quarter
stored = Image.new("RGB", (160, 96))
def upright_size(kind, given):
    file = io.BytesIO()
    stored.save(file, kind, exif=given)
    has_property = b"irot" in file.getvalue()
    return ImageOps.exif_transpose(Image.open(file)).size, has_property
for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
    assert upright_size(kind, exif) == upright_size(kind, exif.tobytes()) == ((96, 160), False), kind
assert upright_size("HEIF", exif.tobytes()) == ((96, 160), True), "changed: EXIF as bytes"
assert upright_size("HEIF", exif) == ((160, 96), False), "changed: EXIF as an object"
END
venv/bin/python check.py
echo "as found: pillow-heif 1.8.1 turns HEIC by EXIF given as bytes, and not by EXIF given as an object"
