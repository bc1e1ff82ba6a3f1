#!/bin/sh
# Pillow 13.0.0 drops the colour space that AVIF (`nclx`) and PNG (`cICP`) state as code points, and
# says nothing: `info` has no entry, so a Display P3 photo without an ICC profile is indistinguishable
# from an sRGB one, with the same pixel values. pillow-heif 1.8.1 gives the code points of HEIC
# (`info["nclx_profile"]`), and does not convert either. Expected: what is known of a PNG's gamma and
# chromaticities (`info["gamma"]`, `info["chromaticity"]`) to be known of code points, too.
# JPEG 2000 loses even an ICC profile: one in a file's `colr` box is not in `info`, and
# `save(…, icc_profile=…)` writes none, where JPEG, PNG, WebP, AVIF and TIFF keep it.
#
# So a pipeline that converts "the embedded profile, if there is one" to sRGB takes wide-gamut AVIF,
# PNG and JPEG 2000 for sRGB; it must read the `colr` box and the `cICP` chunk itself.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pillow==13.0.0 pillow-heif==1.8.1 \
    imagecodecs==2026.3.6 numpy==2.4.6
cat >check.py <<'END'
import io, struct, zlib
import imagecodecs, numpy as np, pillow_heif
from PIL import Image
pillow_heif.register_heif_opener()
P3, SRGB_CURVE = 12, 13
photo = np.full((64, 64, 3), (230, 40, 40), np.uint8)
def read(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
def saved(kind, **options):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, kind, **options)
    return file.getvalue()

primaries = imagecodecs.AVIF.COLOR_PRIMARIES
avif = {
    name: imagecodecs.avif_encode(photo, level=90, primaries=getattr(primaries, name))
    for name in ("BT709", "SMPTE432")
}
place = avif["SMPTE432"].index(b"colrnclx") + 8
assert avif["SMPTE432"][place : place + 2] == bytes([0, P3]), "the file does not state Display P3"
wide, usual = read(avif["SMPTE432"]), read(avif["BT709"])
assert set(wide.info) == set(usual.info) == {"timestamp", "duration"}, f"changed: {wide.info}"
assert wide.tobytes() == usual.tobytes(), "changed: AVIF is converted"

def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
png = saved("PNG")
coded = png[:33] + chunk(b"cICP", bytes([P3, SRGB_CURVE, 0, 1])) + png[33:]
assert read(coded).info == {}, f"changed: {read(coded).info}"
assert read(coded).tobytes() == read(png).tobytes(), "changed: PNG is converted"
gamma = png[:33] + chunk(b"gAMA", struct.pack(">I", 45455)) + png[33:]
assert "gamma" in read(gamma).info, "changed: gamma is not given"

heic = read(saved("HEIF", quality=95, color_primaries=P3, transfer_characteristics=SRGB_CURVE, matrix_coefficients=6))
assert heic.info["nclx_profile"]["color_primaries"] == P3, "changed: HEIC's code points are not given"
assert np.abs(np.asarray(heic).astype(int) - photo).max() <= 2, "changed: HEIC is converted"

profile = imagecodecs.cms_profile("rgb", gamma=1.8)
for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
    assert read(saved(kind, icc_profile=profile)).info.get("icc_profile") == profile, kind
plain = saved("JPEG2000", icc_profile=profile)
usual = struct.pack(">I4sBBBI", 15, b"colr", 1, 0, 0, 16)  # sRGB, by its code
assert plain.count(usual) == 1, "changed: JPEG 2000 is written with a profile"
header = plain.index(b"jp2h") - 4
size = int.from_bytes(plain[header : header + 4], "big")
embedded = struct.pack(">I4sBBB", 11 + len(profile), b"colr", 2, 0, 0) + profile
resized = struct.pack(">I", size + len(embedded) - len(usual))
with_profile = plain[:header] + resized + plain[header + 4 :].replace(usual, embedded)
assert "icc_profile" not in read(with_profile).info, "changed: the profile of JPEG 2000 is given"
assert read(with_profile).tobytes() == read(plain).tobytes(), "changed: JPEG 2000 is converted"
END
venv/bin/python check.py
echo "as found: Pillow 13.0.0 drops nclx of AVIF, cICP of PNG, ICC of JPEG 2000; pillow-heif gives nclx"
