"""Reading photos: one that cannot be read fails alone."""

import threading
import zipfile
from pathlib import Path

from indexer_worker.photo_reader import PhotoReader, ReadPhoto, SourcePhoto, UnreadablePhoto
from landmarks.photos.metadata.read import FactsWanted
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Sources
from landmarks.vector_store.points import point_id


def test_an_encrypted_member_of_an_archive_is_that_photos_failure_alone(tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/locked.jpg", b"locked")
        file.writestr("a/open.jpg", b"open")
    data = bytearray(archive.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + flags] |= 1  # the first member says that it is encrypted
    archive.write_bytes(data)

    sources = Sources(SourceRoots([str(tmp_path)]))
    source = sources.open(f"zip://::file://{archive}")
    photos = [SourcePhoto(entry, point_id("g", "s", entry.path), "s") for entry in source.entries()]
    reader = PhotoReader(sources, threading.Event(), threads=2, wanted=FactsWanted())
    try:
        locked, readable = reader.read(photos, 1000, {})
    finally:
        reader.close()
    assert isinstance(locked, UnreadablePhoto)
    assert "encrypted" in locked.reason
    assert isinstance(readable, ReadPhoto)
