#!/bin/sh
# ExifRead 3.5.1 does not find the EXIF of valid HEIC and WebP files:
# - of a HEIC whose `iloc` box has a base offset, as libheif writes it (pillow-heif 1.8.1), it reads the
#   wrong place, as it takes an extent's offset for the place (ISO 14496-12, 8.11.3: base offset plus
#   extent offset), and ends in a bare AssertionError instead of one of its own exceptions;
# - of a WebP, it skips six bytes of the `EXIF` chunk, for an `Exif\0\0` that Pillow, as RFC 9649 has
#   it, does not write: no tags, and no error. With these six bytes in front it finds all.
# JPEG, PNG and AVIF of the same EXIF are read.
#
# Expected: the same tags of all. So a photo library that takes "no tags" for "has no EXIF" loses the
# dates and places of WebP without a word, and HEIC ends the loop that does not catch everything.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check exifread==3.5.1 pillow==13.0.0 \
    pillow-heif==1.8.1
cat >check.py <<'END'
import io, struct
import exifread, pillow_heif
from PIL import Image
pillow_heif.register_heif_opener()
exif = Image.Exif()
exif[0x0110] = "X100"
exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:00:00"
def saved(kind):
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, kind, exif=exif.tobytes())
    return file.getvalue()
def date(data):
    return str(exifread.process_file(io.BytesIO(data)).get("EXIF DateTimeOriginal"))
for kind in ("JPEG", "PNG", "AVIF"):
    assert date(saved(kind)) == "2024:05:01 12:00:00", kind
for kind in ("HEIF", "WEBP"):  # another reader finds it
    read = Image.open(io.BytesIO(saved(kind))).getexif().get_ifd(0x8769)
    assert read[0x9003] == "2024:05:01 12:00:00", kind

heic = saved("HEIF")
sizes = heic[heic.index(b"iloc") + 9]
assert sizes >> 4, "libheif writes no base offset any more"
try:
    print(date(heic))
except AssertionError as error:
    assert not str(error)
else:
    raise SystemExit("changed: ExifRead reads this HEIC")

webp = saved("WEBP")
place = webp.index(b"EXIF") + 8
assert webp[place : place + 2] in (b"MM", b"II"), "Pillow writes the chunk otherwise"
assert exifread.process_file(io.BytesIO(webp)) == {}, "changed: ExifRead reads this WebP"
size = int.from_bytes(webp[place - 4 : place], "little") + 6
longer = webp[: place - 4] + struct.pack("<I", size) + b"Exif\0\0" + webp[place:]
longer = longer[:4] + struct.pack("<I", len(longer) - 8) + longer[8:]
assert date(longer) == "2024:05:01 12:00:00", "changed: not even with six bytes in front"
END
venv/bin/python check.py
echo "as found: ExifRead 3.5.1 fails at HEIC with a base offset, and finds nothing in Pillow's WebP"
