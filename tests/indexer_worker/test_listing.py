"""What a job says of its source's files and labels, through a real worker."""

from pathlib import Path

import pytest

from landmarks.job_store.records import Job, JobState
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.task_messages import LISTING
from landmarks.photos.file_types import SkipReason
from landmarks.photos.listing_counts import LabelCounts, Skipped
from tests.support.indexing_rig import MODEL, Rig, draw_photo

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(rig: Rig, gallery: str) -> Path:
    """Photos of two landmarks in folders of a year, and what a phone puts beside them."""
    made = rig.photos / gallery
    for seed in range(4):
        draw_photo(made / "2019" / ("taj", "soreq")[seed % 2] / f"{seed}.png", seed)
    for name in ("2019/taj/0.MOV", "2019/taj/0.CR2", "2019/taj/0.xmp", "@eaDir/0.png/x.jpg"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(b"x")
    return made


def seen(job: Job) -> tuple[dict[str, int], dict[str, int]]:
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.labels is not None
    return {one.reason.value: one.files + one.folders for one in job.skipped}, dict(job.labels.most)


SKIPPED = {"sidecar": 1, "live_photo_video": 1, "raw_beside_photo": 1, "system": 1}


def test_a_job_counts_what_it_skips_and_a_dry_run_shows_the_labels(
    rig: Rig, gallery: str, folder: Path
) -> None:
    job = rig.index(gallery, folder, dry_run=True, label="last")
    assert seen(job) == (SKIPPED, {"taj": 2, "soreq": 2})
    assert job.progress[0].listed == 4
    by_year = rig.index(gallery, folder)
    assert seen(by_year) == (SKIPPED, {"2019": 4})
    assert "'2019' look like times" in by_year.outcome


def test_another_rule_changes_labels_and_encodes_nothing(
    rig: Rig, gallery: str, folder: Path
) -> None:
    rig.index(gallery, folder)
    job = rig.index(gallery, folder, label="{year}/{landmark}")
    assert (job.progress[0].stored, job.progress[0].encoded) == (4, 0)
    labels = {path: payload["landmark"] for path, payload in rig.payloads(gallery).items()}
    assert labels == {
        "2019/taj/0.png": "taj",
        "2019/soreq/1.png": "soreq",
        "2019/taj/2.png": "taj",
        "2019/soreq/3.png": "soreq",
    }
    ignored = rig.index(gallery, folder, label="last", ignore=("soreq",), prune=True)
    assert ignored.not_pruned is not None  # half of the photos: it asks first


def test_a_listing_that_begins_again_counts_no_file_twice(rig: Rig, gallery: str) -> None:
    jobs = rig.jobs
    job = jobs.create(IndexSpec(gallery, "/photos", (MODEL,)))
    lease = jobs.begin(job.id, LISTING, 60)
    assert lease is not None
    for _ in range(2):
        counts = (Skipped(SkipReason.VIDEO, 3, 0, "a.mov"),)
        jobs.set_seen(job.id, counts, LabelCounts(1, 2, (("taj", 5),)))
    jobs.end_listing(lease)
    found = jobs.get(job.id)
    assert found.skipped == (Skipped(SkipReason.VIDEO, 3, 0, "a.mov"),)
    assert found.labels == LabelCounts(1, 2, (("taj", 5),))
