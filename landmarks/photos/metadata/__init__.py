"""What is inside a photo beside its pixels: when, where and how it was taken, and its words.

Read from EXIF, XMP and IPTC, and from sidecars; no pixel is decoded.
"""
