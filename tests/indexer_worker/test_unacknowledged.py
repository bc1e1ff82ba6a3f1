"""What is noted and was never acknowledged, ended by a real worker."""

import pytest

from landmarks.vector_store.points import point_id
from tests.support.indexing_rig import Rig, draw_photo
from tests.support.processes import eventually

pytestmark = pytest.mark.integration


def indexed(rig: Rig, gallery: str) -> str:
    for seed in range(3):
        draw_photo(rig.photos / gallery / f"{seed}.png", seed)
    rig.index(gallery, rig.photos / gallery, source_name="photos")
    return rig.collection(gallery)


def test_a_worker_completes_a_deletion_whose_caller_died(rig, gallery):
    name = indexed(rig, gallery)
    rig.open_writes.begin_deletion(name, "deletion", [point_id(gallery, "photos", "0.png")])
    eventually(lambda: not rig.open_writes.find(name), "the deletion is completed")
    assert set(rig.payloads(gallery)) == {"1.png", "2.png"}


def test_a_worker_ends_the_writes_of_a_job_that_is_over(rig, gallery):
    name = indexed(rig, gallery)
    before = rig.payloads(gallery)
    rig.open_writes.begin(name, "no job|colours/0|1", [point_id(gallery, "photos", "0.png")])
    eventually(lambda: not rig.open_writes.find(name), "the write is ended")
    assert rig.payloads(gallery) == before


def test_notes_of_a_collection_that_was_dropped_go(rig, gallery):
    name = f"{gallery}__colours__00000000"
    rig.open_writes.begin_deletion(name, "deletion", [point_id(gallery, "photos", "0.png")])
    eventually(lambda: not rig.open_writes.find(name), "the note is gone")
