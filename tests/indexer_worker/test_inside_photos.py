"""What is inside a photo becomes payload, through a real worker, Qdrant and encoder."""

import os
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from indexer_worker.change_detection import Known, SourcePhoto
from indexer_worker.photo_reader import PhotoReader, ReadPhoto, UnchangedPhoto
from indexer_worker.settings import IndexerSettings
from landmarks.job_store.records import Job, JobState, Listed, pack_chunk, unpack_chunk
from landmarks.photos.entry import Entry
from landmarks.photos.metadata.facts import FACT_NAMES
from landmarks.photos.metadata.read import FactsWanted
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Sources
from landmarks.vector_store.points import point_id
from tests.support.indexing_rig import Rig, draw_photo
from tests.support.metadata import FACTS, exif, xmp

WANTED = FactsWanted()
# Payload fields that earlier releases did not write.
NEW = FACT_NAMES | {"payload_version", "facts_stated", "sidecars"}


def encoded(job: Job) -> tuple[int, int, int]:
    """Return how many photos a job stored, found unchanged, and encoded."""
    assert job.state is JobState.SUCCEEDED, job.error
    (progress,) = job.progress
    assert not progress.dead
    return progress.stored, progress.unchanged, progress.encoded


def photograph(path: Path, seed: int, tags: bytes) -> Path:
    """Draw a photo with EXIF."""
    draw_photo(path, seed)
    with Image.open(path) as image:
        image.load()
    image.save(path, exif=tags)
    return path


@pytest.fixture
def folder(rig: Rig, gallery: str) -> Path:
    """Three photos with a place, of which two are of formats of their own, and one without."""
    made = rig.photos / gallery
    for seed, name in enumerate(("1.jpg", "2.png", "3.webp")):
        photograph(made / "atomium" / name, seed, exif())
    draw_photo(made / "atomium/plain.png", 9)
    return made


def as_before(rig: Rig, gallery: str) -> Mapping[str, list[float]]:
    """Make the payloads those of an earlier release; return the vectors, by path."""
    name = rig.collection(gallery)
    with closing(rig.client()) as client:
        points, _ = client.scroll(name, limit=100, with_payload=True, with_vectors=True)
        for point in points:
            client.delete_payload(name, sorted(NEW), [point.id], wait=True)
        return {point.payload["path"]: point.vector for point in points}


@pytest.mark.integration
def test_what_is_inside_a_photo_is_stored_and_read_once(rig, gallery, folder):
    assert encoded(rig.index(gallery, folder)) == (4, 0, 4)
    payloads = rig.payloads(gallery)
    for name in ("1.jpg", "2.png", "3.webp"):
        payload = payloads[f"atomium/{name}"]
        assert {field: payload.get(field) for field in FACTS} == FACTS
        assert "serial" not in payload
    assert not FACT_NAMES & payloads["atomium/plain.png"].keys()
    assert encoded(rig.index(gallery, folder)) == (0, 4, 0)


@pytest.mark.integration
def test_a_gallery_of_an_earlier_release_gets_it_without_encoding_anything(rig, gallery, folder):
    rig.index(gallery, folder)
    first = rig.payloads(gallery)
    vectors = as_before(rig, gallery)
    assert not any(NEW & payload.keys() for payload in rig.payloads(gallery).values())

    assert encoded(rig.index(gallery, folder)) == (4, 0, 0)

    later = rig.payloads(gallery)
    passing = {"job_id", "indexed_at"}
    for path, payload in first.items():
        assert {k: v for k, v in later[path].items() if k not in passing} == {
            k: v for k, v in payload.items() if k not in passing
        }
    with closing(rig.client()) as client:
        points, _ = client.scroll(rig.collection(gallery), limit=100, with_vectors=True)
        assert {point.payload["path"]: point.vector for point in points} == vectors
    assert encoded(rig.index(gallery, folder)) == (0, 4, 0)


@pytest.mark.integration
def test_a_manifests_column_comes_before_what_is_inside_and_gives_way_again(rig, gallery, folder):
    manifest = folder / "list.csv"
    manifest.write_text("path,landmark,camera\natomium/1.jpg,Atomium,a box\n")
    rig.index(gallery, manifest)
    payload = rig.payloads(gallery)["atomium/1.jpg"]
    assert (payload["camera"], payload["lens"]) == ("a box", FACTS["lens"])
    manifest.write_text("path,landmark\natomium/1.jpg,Atomium\n")
    assert encoded(rig.index(gallery, manifest)) == (1, 0, 0)
    assert rig.payloads(gallery)["atomium/1.jpg"]["camera"] == FACTS["camera"]


@pytest.mark.integration
@pytest.mark.slow  # two encoders and a promotion: ten seconds
def test_a_rebuilt_collection_has_it_whether_the_live_one_does_or_not(own_rig, gallery):
    rig = own_rig
    photograph(rig.photos / gallery / "atomium/1.jpg", 1, exif())
    photograph(rig.photos / gallery / "atomium/2.jpg", 2, exif())
    rig.has_newer = True
    with rig.qdrant(), rig.encoder(), rig.worker():
        rig.index(gallery, rig.photos / gallery)
        as_before(rig, gallery)
        with rig.newer_encoder():
            job = reindexed(rig, gallery)
        assert "promoted" in job.outcome, job.error
        for payload in rig.payloads(gallery).values():
            assert {field: payload.get(field) for field in FACTS} == FACTS


def reindexed(rig: Rig, gallery: str) -> Job:
    """Rebuild a gallery's collection with the newer encoder."""
    from landmarks.job_store.spec import JobKind, ReindexOptions

    return rig.index(gallery, "", kind=JobKind.REINDEX, reindex=ReindexOptions())


class Folder:
    """One photo in a folder, with sidecars, and a reader of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        photograph(path / "a.jpg", 1, exif())
        entry = Entry("x/a.jpg", f"file://{path}/a.jpg", sidecars=("x/a.xmp",))
        self.photo = SourcePhoto(entry, point_id("g", "s", entry.path), "s")
        self.sidecar = path / "a.xmp"
        self.rate(4)

    def rate(self, stars: int) -> None:
        """Write the sidecar."""
        self.sidecar.write_bytes(xmp(f'xmp:Rating="{stars}"'))
        os.utime(self.sidecar, ns=(stars, stars))

    def read(
        self, known: Known | None = None, wanted: FactsWanted = WANTED
    ) -> ReadPhoto | UnchangedPhoto:
        """Read the photo, which a point may know already."""
        sources = Sources(SourceRoots([str(self.path)]))
        reader = PhotoReader(sources, threading.Event(), threads=1, wanted=wanted)
        try:
            (found,) = reader.read(
                [self.photo], 1_000_000, {} if known is None else {self.photo.point: known}
            )
        finally:
            reader.close()
        assert isinstance(found, ReadPhoto | UnchangedPhoto)
        return found


def known(read: ReadPhoto | UnchangedPhoto) -> Known:
    """Return what the point of a photo says of it, once that is stored."""
    assert read.inside is not None
    return Known(read.version, read.inside.version)


def test_a_changed_sidecar_is_noticed_and_the_photo_is_not_encoded(tmp_path):
    folder = Folder(tmp_path)
    first = folder.read()
    assert isinstance(first, ReadPhoto)
    assert first.inside.facts == {**FACTS, "rating": 4.0}
    again = folder.read(known(first))
    assert isinstance(again, UnchangedPhoto)
    assert again.inside is None
    folder.rate(2)
    changed = folder.read(known(first))
    assert isinstance(changed, UnchangedPhoto)
    assert changed.inside is not None
    assert changed.inside.facts == {**FACTS, "rating": 2.0}
    folder.sidecar.unlink()
    gone = folder.read(known(changed))
    assert gone.inside is not None
    assert gone.inside.facts["place"] == FACTS["place"]
    assert "a.xmp" in str(gone.inside.facts["metadata_problem"])


def test_a_setting_leaves_out_the_places_of_points_that_have_them(tmp_path):
    folder = Folder(tmp_path)
    first = folder.read()
    without = folder.read(known(first), FactsWanted(places=False))
    assert without.inside is not None
    assert without.inside.facts.keys() == FACTS.keys() - {"place"} | {"rating"}
    settings = IndexerSettings(index_places="false", index_serials="true")
    assert settings.facts_wanted == FactsWanted(places=False, serials=True)
    assert IndexerSettings().facts_wanted == WANTED


def test_the_sidecars_of_a_photo_survive_the_job_store():
    listed = [Listed(Entry("x/a.jpg", "file:///x/a.jpg", sidecars=("x/a.xmp",)))]
    assert unpack_chunk(pack_chunk(listed)) == listed
