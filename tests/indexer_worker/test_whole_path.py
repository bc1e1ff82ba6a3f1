"""From a folder or a manifest to points, through a real worker, Valkey, Qdrant and encoder."""

import csv
import hashlib
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from landmarks.errors import NotFoundError
from landmarks.job_store.records import Job, JobState, ModelProgress
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.filters import Filter, Words
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.colour_encoder import DIGEST, MAX_PHOTO_BYTES, NOWHERE
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.processes import ROOT

pytestmark = pytest.mark.integration


def counts(job: Job) -> dict[str, int]:
    """Return a job's counts that are not zero, after checking the sum that always holds."""
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.listing_complete
    (progress,) = job.progress
    assert progress.done == progress.listed
    names = ("listed", "stored", "unchanged", "dead", "duplicate", "encoded", "pruned")
    return {name: value for name in names if (value := getattr(progress, name))}


def write_manifest(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def folder(rig: Rig, gallery: str) -> Path:
    """Nine photos of three landmarks, and one of none."""
    made = rig.photos / gallery
    for seed in range(9):
        draw_photo(made / ("atomium", "soreq", "taj")[seed % 3] / f"{seed}.png", seed)
    draw_photo(made / "unknown.jpg", 100)
    return made


def test_a_folder_becomes_points_with_the_payload_of_their_photos(rig, gallery, folder):
    job = rig.index(gallery, folder)

    assert counts(job) == {"listed": 10, "stored": 10, "encoded": 10}
    progress: ModelProgress = job.progress[0]
    assert progress.collection == f"{gallery}__{MODEL}__{DIGEST[:8]}"
    assert progress.digest == DIGEST
    payloads = rig.payloads(gallery)
    assert len(payloads) == 10
    payload = payloads["atomium/0.png"]
    assert payload["landmark"] == "atomium"
    assert payload["source"] == folder.name
    assert payload["uri"] == f"file://{folder}/atomium/0.png"
    assert (payload["width"], payload["height"]) == (24, 16)
    assert payload["job_id"] == job.id
    assert "landmark" not in payloads["unknown.jpg"]


def test_the_second_run_encodes_nothing(rig, gallery, folder):
    rig.index(gallery, folder)
    assert counts(rig.index(gallery, folder)) == {"listed": 10, "unchanged": 10}


def test_a_changed_photo_and_a_new_one_are_encoded_and_no_other(rig, gallery, folder):
    rig.index(gallery, folder)
    before = rig.payloads(gallery)
    draw_photo(folder / "taj/2.png", 50)
    draw_photo(folder / "taj/new.png", 51)

    job = rig.index(gallery, folder)

    assert counts(job) == {"listed": 11, "stored": 2, "unchanged": 9, "encoded": 2}
    after = rig.payloads(gallery)
    assert after["taj/2.png"]["sha256"] != before["taj/2.png"]["sha256"]
    assert len(after) == 11


def test_bad_photos_become_dead_letters_and_the_rest_is_indexed(rig, gallery, folder):
    rig.index(gallery, folder)
    (folder / "atomium/0.png").write_bytes(b"not a photo any more")
    (folder / "taj/cut.jpg").write_bytes((folder / "unknown.jpg").read_bytes()[:100])
    (folder / "taj/huge.jpg").write_bytes(b"\xff" * (MAX_PHOTO_BYTES + 1))
    (folder / "taj/none.jpg").touch()

    job = rig.index(gallery, folder)

    assert counts(job) == {"listed": 13, "unchanged": 9, "dead": 4}
    letters, following = rig.jobs.dead_letters(job.id, 3, "")
    more, end = rig.jobs.dead_letters(job.id, 3, following)
    reasons = {letter.entry.path: letter.reason for letter in [*letters, *more]}
    assert (len(letters), len(more), end) == (3, 1, "")
    assert set(reasons) == {"atomium/0.png", "taj/cut.jpg", "taj/huge.jpg", "taj/none.jpg"}
    assert "not an image" in reasons["atomium/0.png"]
    assert f"larger than {MAX_PHOTO_BYTES} bytes" in reasons["taj/huge.jpg"]
    assert "empty" in reasons["taj/none.jpg"]
    payloads = rig.payloads(gallery)
    assert len(payloads) == 10, "the older point of a dead photo stays"
    assert payloads["atomium/0.png"]["stale"] is True
    assert not any(p.get("stale") for path, p in payloads.items() if path != "atomium/0.png")

    draw_photo(folder / "atomium/0.png", 0)
    for name in ("cut", "huge", "none"):
        (folder / f"taj/{name}.jpg").unlink()
    assert counts(rig.index(gallery, folder)) == {"listed": 10, "stored": 1, "unchanged": 9}
    assert "stale" not in rig.payloads(gallery)["atomium/0.png"]


def test_a_photo_whose_vector_cannot_be_searched_for_is_a_dead_letter(rig, gallery, folder):
    for width in NOWHERE:
        Image.new("RGB", (width, 9)).save(folder / f"{width}.png")

    job = rig.index(gallery, folder)

    assert counts(job) == {"listed": 13, "stored": 10, "encoded": 10, "dead": 3}
    letters, _ = rig.jobs.dead_letters(job.id, 10, "")
    reasons = {letter.entry.path: letter.reason for letter in letters}
    assert set(reasons) == {"11.png", "17.png", "19.png"}
    assert "all zeros" in reasons["11.png"]
    assert "NaN or infinity" in reasons["17.png"]
    assert "NaN or infinity" in reasons["19.png"]


def test_a_manifests_columns_become_payload_and_a_change_of_them_encodes_nothing(rig, gallery):
    folder = rig.photos / gallery
    rows = [
        {"path": f"{seed}.png", "landmark": "atomium", "split": "train", "licence": "cc0"}
        for seed in range(6)
    ]
    for seed in range(6):
        draw_photo(folder / f"{seed}.png", seed)
    manifest = write_manifest(folder / "manifest.csv", rows)
    assert counts(rig.index(gallery, manifest)) == {"listed": 6, "stored": 6, "encoded": 6}
    assert rig.payloads(gallery)["3.png"]["licence"] == "cc0"

    rows[3] |= {"landmark": "soreq cave"}
    rows[4] |= {"licence": "by"}
    write_manifest(manifest, rows)
    job = rig.index(gallery, manifest)

    assert counts(job) == {"listed": 6, "stored": 2, "unchanged": 4}
    payloads = rig.payloads(gallery)
    assert payloads["3.png"]["landmark"] == "soreq cave"
    assert payloads["3.png"]["job_id"] == job.id
    assert payloads["3.png"]["width"] == 24
    assert payloads["4.png"]["licence"] == "by"


def test_words_of_a_column_are_found_once_a_photo_has_it(rig, gallery):
    folder = rig.photos / gallery
    for seed in range(6):
        draw_photo(folder / f"{seed}.png", seed)
    rows = [{"path": f"{seed}.png", "landmark": "atomium"} for seed in range(6)]
    manifest = write_manifest(folder / "manifest.csv", rows)
    rig.index(gallery, manifest)
    gates = Filter(must=(Words("caption", "gate"),))
    with closing(rig.client()) as client:
        settings = VectorStoreSettings(qdrant_port=rig.qdrant_port)
        collections, points = Collections(client, settings), PointStore(client, settings)
        name = collections.live(gallery, MODEL).name
        assert "caption" not in collections.kinds(name)

        write_manifest(manifest, [row | {"caption": f"gate {row['path']}"} for row in rows])
        assert counts(rig.index(gallery, manifest)) == {"listed": 6, "stored": 6}
        assert collections.kinds(name)["caption"] == "text"
        assert points.count(name, gates) == 6

        client.delete_payload_index(name, "caption")
        assert counts(rig.index(gallery, manifest)) == {"listed": 6, "unchanged": 6}
        assert collections.kinds(name)["caption"] == "text"
        assert points.count(name, gates) == 6


def test_a_manifests_bad_rows_are_accounted_for_one_by_one(rig, gallery):
    folder = rig.photos / gallery / "inner"
    draw_photo(folder / "a.png", 1)
    draw_photo(folder / "b.png", 2)
    draw_photo(folder.parent / "outside.png", 3)
    paths = ["a.png", "../outside.png", "gone.png", "./a.png", "b.png", "", "/etc/passwd", "a.png"]
    manifest = write_manifest(
        folder / "m.csv", [{"path": path, "landmark": "x", "width": "7"} for path in paths]
    )

    job = rig.index(gallery, manifest)

    assert counts(job) == {"listed": 8, "stored": 2, "encoded": 2, "dead": 4, "duplicate": 2}
    letters, _ = rig.jobs.dead_letters(job.id, 100, "")
    reasons = {letter.entry.path: letter.reason for letter in letters}
    assert "climbs out" in reasons["../outside.png"]
    assert "does not exist" in reasons["gone.png"]
    assert "has no path" in reasons["line 7"]
    assert "absolute" in reasons["/etc/passwd"]
    assert rig.payloads(gallery)["a.png"]["width"] == 24, "what indexing finds out itself counts"


def test_splits_choose_rows(rig, gallery):
    folder = rig.photos / gallery
    rows = [
        {"path": f"{seed}.png", "landmark": "x", "split": ("train", "val", "test")[seed % 3]}
        for seed in range(9)
    ]
    for seed in range(9):
        draw_photo(folder / f"{seed}.png", seed)
    manifest = write_manifest(folder / "m.csv", rows)
    job = rig.index(gallery, manifest, splits=("train", "val"))
    assert counts(job) == {"listed": 6, "stored": 6, "encoded": 6}


def test_a_source_that_cannot_be_used_fails_the_job_with_the_reason(rig, gallery):
    folder = rig.photos / gallery
    folder.mkdir()
    job = rig.index(gallery, folder)
    assert (job.state, job.progress[0].listed) == (JobState.FAILED, 0)
    assert "has no photos" in job.error

    job = rig.index(gallery, Path("/etc"))
    assert job.state is JobState.FAILED
    assert "LANDMARKS_SOURCE_ROOTS" in job.error


def test_a_job_can_be_sent_with_celery_alone(rig, gallery, folder):
    request_id = uuid.uuid4().hex
    send = f"""
from celery import Celery
sent = Celery(broker={rig.valkey.url!r}).send_task(
    "indexer_worker.index",
    kwargs=dict(source={str(folder)!r}, gallery={gallery!r}, request_id={request_id!r}),
    queue="index",
)
print(sent.id)
import sys
assert not any(name.startswith(("indexer_worker", "landmarks")) for name in sys.modules)
"""
    ids = [
        subprocess.run(
            [sys.executable, "-c", send], check=True, capture_output=True, text=True, cwd="/"
        ).stdout.strip()
        for _ in range(2)
    ]

    job = rig.ended(ids[0])
    assert counts(job) == {"listed": 10, "stored": 10, "encoded": 10}
    with rig.valkey.client() as client:
        assert client.get(f"landmarks:request:{request_id}").decode() == ids[0]
        assert not client.exists(f"landmarks:job:{ids[1]}"), "the second is the first one's job"


@pytest.mark.parametrize(
    ("positional", "arguments", "reason"),
    [
        ([], {"source": "/x"}, "gallery"),
        ([], {"source": "/x", "gallery": "No Name"}, "gallery 'No Name' is not a name"),
        ([], {"gallery": "g"}, "source is missing"),
        ([], {"source": "/x", "gallery": "g", "models": ["resnet"]}, "there are: colours"),
        ([], {"source": "/x", "gallery": "g", "models": "colours"}, "not a list of texts"),
        ([], {"source": "/x", "gallery": "g", "modles": []}, "takes no modles"),
        (["g", "/x"], {}, "takes its arguments by name, and there are 2 without one; kwargs="),
        (["g"], {"source": "/x"}, "takes its arguments by name"),
        ([{"gallery": "g", "source": "/x"}], {}, "takes its arguments by name"),
    ],
)
def test_arguments_that_cannot_be_used_make_a_failed_job_that_says_why(
    rig, positional, arguments, reason
):
    from celery import Celery

    with Celery(broker=rig.valkey.url) as sender:
        sent = sender.send_task(
            "indexer_worker.index", args=positional, kwargs=arguments, queue="index"
        )
    job = rig.ended(sent.id)
    assert job.state is JobState.FAILED
    assert reason in job.error


def test_the_worker_imports_neither_torch_nor_pillow():
    code = (
        "import sys, indexer_worker.tasks; print([m for m in ('torch', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_photos_with_unchanged_size_and_time_are_not_read(rig, gallery, folder):
    rig.index(gallery, folder)
    changed, touched = folder / "atomium/0.png", folder / "taj/2.png"
    before = changed.stat()
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1  # in the checksum of the last chunk, which decoders need not look at
    changed.write_bytes(data)
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    touched.touch()

    assert counts(rig.index(gallery, folder)) == {"listed": 10, "stored": 1, "unchanged": 9}
    assert counts(rig.index(gallery, folder)) == {"listed": 10, "unchanged": 10}
    verified = rig.index(gallery, folder, verify=True)
    assert counts(verified) == {"listed": 10, "stored": 1, "unchanged": 9, "encoded": 1}
    sha256 = hashlib.sha256(data).hexdigest()
    assert rig.payloads(gallery)["atomium/0.png"]["sha256"] == sha256


def test_a_folder_that_has_moved_is_neither_read_nor_encoded(rig, gallery, folder):
    rig.index(gallery, folder, source_name="mine")
    moved = folder.rename(folder.with_name(f"{gallery}-moved"))
    for photo in moved.rglob("*.png"):
        photo.chmod(0o400)
    job = rig.index(gallery, moved, source_name="mine")
    assert counts(job) == {"listed": 10, "stored": 10}
    uris = {payload["uri"] for payload in rig.payloads(gallery).values()}
    assert all(str(uri).startswith(f"file://{moved}/") for uri in uris)


def test_points_whose_photos_are_gone_are_pruned_on_request(rig, gallery, folder):
    rig.index(gallery, folder)
    other = draw_photo(rig.photos / f"{gallery}-other" / "x" / "1.png", 60).parents[1]
    rig.index(gallery, other)
    for name in ("atomium/0.png", "taj/5.png"):
        (folder / name).unlink()
    everything = set(rig.payloads(gallery))
    assert len(everything) == 11

    assert counts(rig.index(gallery, folder)) == {"listed": 8, "unchanged": 8}
    assert set(rig.payloads(gallery)) == everything
    would = rig.index(gallery, folder, prune=True, dry_run=True)
    assert counts(would) == {"listed": 8, "unchanged": 8, "pruned": 2}
    assert set(rig.payloads(gallery)) == everything
    job = rig.index(gallery, folder, prune=True)
    assert counts(job) == {"listed": 8, "unchanged": 8, "pruned": 2}
    assert set(rig.payloads(gallery)) == everything - {"atomium/0.png", "taj/5.png"}
    assert counts(rig.index(gallery, folder, prune=True)) == {"listed": 8, "unchanged": 8}


def test_pruning_leaves_other_splits_alone_and_photos_that_cannot_be_read(rig, gallery):
    folder = rig.photos / gallery
    rows = [
        {"path": f"{seed}.png", "landmark": "atomium", "split": ("train", "test")[seed % 2]}
        for seed in range(6)
    ]
    for seed in range(6):
        draw_photo(folder / f"{seed}.png", seed)
    manifest = write_manifest(folder / "manifest.csv", rows)
    rig.index(gallery, manifest)
    (folder / "2.png").write_bytes(b"broken")
    write_manifest(manifest, [row for row in rows if row["path"] not in ("0.png", "1.png")])

    job = rig.index(gallery, manifest, splits=("train",), prune=True)

    assert counts(job) == {"listed": 2, "unchanged": 1, "dead": 1, "pruned": 1}
    assert set(rig.payloads(gallery)) == {f"{seed}.png" for seed in range(1, 6)}


def test_a_listing_that_fails_half_way_prunes_nothing(rig, gallery):
    folder = rig.photos / gallery
    rows = [{"path": f"{seed}.png", "landmark": "atomium"} for seed in range(12)]
    for seed in range(12):
        draw_photo(folder / f"{seed}.png", seed)
    manifest = write_manifest(folder / "manifest.csv", rows)
    rig.index(gallery, manifest)
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join([*lines[:6], b"\xff\xfe.png,atomium\n", *lines[7:9]]))
    job = rig.index(gallery, manifest, prune=True)
    assert job.state is JobState.FAILED
    assert "not UTF-8" in job.error
    assert len(rig.payloads(gallery)) == 12


def test_a_dry_run_changes_nothing_and_says_what_would_be(rig, gallery, folder):
    (folder / "taj/cut.png").write_bytes(b"no photo")
    job = rig.index(gallery, folder, dry_run=True)
    # Only encoding shows whether bytes are a photo.
    assert counts(job) == {"listed": 11, "stored": 11, "encoded": 11}
    assert job.progress[0].collection == ""
    with pytest.raises(NotFoundError):
        rig.payloads(gallery)

    rig.index(gallery, folder)
    before = rig.payloads(gallery)
    draw_photo(folder / "taj/2.png", 70)
    draw_photo(folder / "taj/new.png", 71)
    (folder / "unknown.jpg").rename(folder / "taj/known.jpg")
    job = rig.index(gallery, folder, dry_run=True)
    # The renamed photo has the vector of its bytes.
    assert counts(job) == {"listed": 12, "stored": 4, "unchanged": 8, "encoded": 3}
    assert rig.payloads(gallery) == before


def test_a_list_that_may_lack_photos_prunes_nothing(rig, gallery, folder):
    away = rig.photos / f"{gallery}-mounted"
    (folder / "taj").rename(away)
    (folder / "taj").symlink_to(away)
    rig.index(gallery, folder)
    everything = set(rig.payloads(gallery))
    assert len(everything) == 10
    away.rename(rig.photos / f"{gallery}-unmounted")
    (folder / "atomium/0.png").unlink()

    job = rig.index(gallery, folder, prune=True, prune_confirmed=True)

    assert counts(job) == {"listed": 7, "unchanged": 6, "dead": 1}
    assert job.not_pruned is not None
    assert "taj: it is a link that cannot be followed" in job.not_pruned.reason
    assert set(rig.payloads(gallery)) == everything


def test_more_than_a_third_of_a_source_is_pruned_only_if_confirmed(rig, gallery, folder):
    rig.index(gallery, folder)
    other = draw_photo(rig.photos / f"{gallery}-other" / "x" / "1.png", 60).parents[1]
    rig.index(gallery, other)
    everything = set(rig.payloads(gallery))
    for name in ("atomium/0.png", "atomium/3.png", "atomium/6.png", "unknown.jpg"):
        (folder / name).unlink()
    for seed in range(20):  # photos that are new do not make those that are gone fewer
        draw_photo(folder / "new" / f"{seed}.png", 200 + seed)

    would = rig.index(gallery, folder, prune=True, dry_run=True)
    assert would.progress[0].pruned == 4
    job = rig.index(gallery, folder, prune=True)
    assert counts(job) == {"listed": 26, "stored": 20, "unchanged": 6, "encoded": 20}
    for one in (would, job):
        assert one.not_pruned is not None
        assert one.not_pruned.points == 4
        assert "of the 10 points of the source" in one.not_pruned.reason
        assert "4 are of photos that it no longer lists" in one.not_pruned.reason
    assert everything < set(rig.payloads(gallery))

    job = rig.index(gallery, folder, prune=True, prune_confirmed=True)
    assert counts(job) == {"listed": 26, "unchanged": 26, "pruned": 4}
    assert job.not_pruned is None


def test_a_manifest_with_an_unclosed_quote_indexes_and_prunes_nothing(rig, gallery):
    folder = rig.photos / gallery
    rows = [{"path": f"{seed}.png", "landmark": "Atomium"} for seed in range(12)]
    for seed in range(12):
        draw_photo(folder / f"{seed}.png", seed)
    manifest = write_manifest(folder / "manifest.csv", rows)
    rig.index(gallery, manifest)
    before = rig.payloads(gallery)
    draw_photo(folder / "0.png", 99)
    lines = manifest.read_text().splitlines()
    lines[9] = '8.png,"Big Ben'  # so late that chunks come before it
    manifest.write_text("\n".join(lines) + "\n")
    job = rig.index(gallery, manifest, prune=True, prune_confirmed=True)
    assert job.state is JobState.FAILED
    assert "line 10: a quote is opened there and not closed" in job.error
    assert rig.payloads(gallery) == before


def test_a_nameless_column_is_left_out_and_said_once(rig, gallery):
    folder = rig.photos / gallery
    for seed in range(6):
        draw_photo(folder / f"{seed}.png", seed)
    rows = [{"": str(seed), "path": f"{seed}.png", "landmark": "Atomium"} for seed in range(6)]
    job = rig.index(gallery, write_manifest(folder / "manifest.csv", rows))
    assert counts(job) == {"listed": 6, "stored": 6, "encoded": 6}
    assert job.outcome == ("left out: column 1 of the manifest, which its first line does not name")
    assert all("" not in payload for payload in rig.payloads(gallery).values())


def test_two_cards_with_a_folder_of_one_name_replace_no_photo_of_each_other(rig, gallery):
    cards = [rig.photos / f"{gallery}-{number}" / "DCIM" for number in (1, 2)]
    for seed in range(4):
        draw_photo(cards[0] / f"100CANON/{seed}.png", seed)
        draw_photo(cards[1] / f"100CANON/{seed + 1}.png", seed + 20)
    other = f"{cards[1].parent.name}-DCIM"

    assert counts(rig.index(gallery, cards[0]))["stored"] == 4
    job = rig.index(gallery, cards[1])

    assert counts(job) == {"listed": 4, "stored": 4, "encoded": 4}
    assert job.source_name == other
    assert job.outcome == (
        f"this source is called {other!r}, as the gallery has another one called 'DCIM'"
    )
    found = rig.points(gallery)
    assert Counter(str(one["source"]) for one in found) == {"DCIM": 4, other: 4}
    with rig.valkey.client() as client:
        client.delete(f"landmarks:sources:{gallery}")  # as a Redis that was lost
    for card in reversed(cards):
        assert counts(rig.index(gallery, card, prune=True)) == {"listed": 4, "unchanged": 4}


def test_a_source_that_may_have_moved_is_asked_for_its_name(rig, gallery, folder):
    assert counts(rig.index(gallery, folder))["stored"] == 10
    before = rig.payloads(gallery)
    moved = rig.photos / f"{gallery}-elsewhere" / folder.name
    moved.parent.mkdir()
    folder.rename(moved)

    job = rig.index(gallery, moved)

    assert job.state is JobState.FAILED
    assert f"photos of another source called '{folder.name}', from file://{folder}" in job.error
    assert f"--source-name {folder.name}" in job.error
    assert rig.payloads(gallery) == before
    job = rig.index(gallery, moved, source_name=folder.name)
    assert counts(job) == {"listed": 10, "stored": 10}


def test_a_manifest_beside_another_prunes_the_photos_of_neither(rig, gallery):
    folder = rig.photos / gallery
    for seed in range(8):
        draw_photo(folder / f"{seed}.png", seed)
    train, test = (
        write_manifest(
            folder / f"{name}.csv",
            [{"path": f"{seed}.png", "landmark": "atomium"} for seed in seeds],
        )
        for name, seeds in (("train", range(4)), ("test", range(4, 8)))
    )
    rig.index(gallery, train)
    job = rig.index(gallery, test, prune=True)
    assert job.state is JobState.FAILED
    assert "train.csv too, and pruning by" in job.error
    assert counts(rig.index(gallery, test))["stored"] == 4
    assert len(rig.payloads(gallery)) == 8
