"""The state of jobs, in a real Valkey."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from indexer_worker.requeue import Sweeper
from landmarks.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from landmarks.job_store.records import ChunkOutcome, DeadLetter, Job, JobState, Lease, Listed
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import CollectionTarget, JobStore, LeaseLostError
from landmarks.job_store.task_messages import LISTING
from landmarks.photos.entry import Entry
from tests.support.valkey import Valkey

pytestmark = pytest.mark.integration

SPEC = IndexSpec("g", "/photos", ("a", "b"))
ENTRY = Entry("é.jpg", "file:///photos/é.jpg", "atomium", {"licence": "cc0"})
LETTER = DeadLetter("a", ENTRY, "broken", datetime.now(UTC), 1)


@pytest.fixture
def store(valkey: Valkey) -> Iterator[JobStore]:
    with valkey.client() as client:
        client.flushall()
    made = JobStore(connect_redis(valkey.url), valkey.url)
    yield made
    made.close()


def begun(store: JobStore, job_id: str, field: str, seconds: float = 60) -> Lease:
    lease = store.begin(job_id, field, seconds)
    assert lease is not None
    store.attempt(lease)
    return lease


def listed(store: JobStore, chunks: int = 1) -> str:
    """Create a job with chunks of two photos, listed to the end."""
    job = store.create(SPEC)
    lease = begun(store, job.id, LISTING)
    for number in range(chunks):
        chunk = [Listed(Entry(f"{number}/{n}.jpg", "file:///x", "l", {"c": "é"})) for n in (0, 1)]
        assert store.add_chunk(lease, chunk, SPEC.models) == number
    store.end_listing(lease)
    return job.id


def test_a_chunk_is_read_back_as_it_was_added(store):
    job_id = listed(store)
    assert store.chunk(job_id, 0)[1] == Listed(Entry("0/1.jpg", "file:///x", "l", {"c": "é"}))


def test_a_chunk_that_is_delivered_twice_counts_once(store):
    job_id = listed(store)
    lease = begun(store, job_id, "a/0")
    assert store.begin(job_id, "a/0", 60) is None, "it is held"
    outcome = ChunkOutcome(stored=1, unchanged=0, duplicate=0, dead=(LETTER,), encoded=1)

    assert store.end_chunk(lease, "a", outcome) is not None
    assert store.end_chunk(lease, "a", outcome) is None
    assert store.begin(job_id, "a/0", 60) is None, "it is done"

    progress = store.get(job_id).progress[0]
    assert (progress.stored, progress.dead, progress.done, progress.listed) == (1, 1, 2, 2)
    assert store.dead_letters(job_id, 10, "") == ([LETTER], "")


def test_a_job_has_succeeded_when_every_model_has_done_every_chunk(store):
    job_id = listed(store, chunks=2)
    outcome = ChunkOutcome(stored=2, unchanged=0, duplicate=0, dead=(), encoded=2)
    for field in ("a/0", "a/1", "b/1", "b/0"):
        assert store.get(job_id).state is not JobState.SUCCEEDED
        assert store.end_chunk(begun(store, job_id, field), field[0], outcome) is not None
    job = store.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert [progress.done for progress in job.progress] == [4, 4]
    assert store.active() == []


def test_results_with_an_older_fencing_token_are_refused(store):
    job_id = listed(store)
    outlived = begun(store, job_id, "a/0", seconds=0.001)
    assert _expired(store) == [(job_id, "a/0")]
    current = begun(store, job_id, "a/0")
    assert (outlived.attempts, current.attempts) == (1, 2)

    outcome = ChunkOutcome(stored=2, unchanged=0, duplicate=0, dead=(), encoded=2)
    assert not store.renew(outlived, 60)
    assert store.end_chunk(outlived, "a", outcome) is None
    assert store.renew(current, 60)
    assert store.end_chunk(current, "a", outcome) is not None


def test_an_expired_lease_that_nobody_took_can_still_be_used(store):
    job_id = listed(store)
    lease = begun(store, job_id, "a/0", seconds=0.001)
    assert _expired(store) == [(job_id, "a/0")]
    assert store.renew(lease, 60)
    assert store.begin(job_id, "a/0", 60) is None


def test_postponed_work_is_leased_until_its_pause_is_over(store):
    job_id = listed(store)
    lease = begun(store, job_id, "a/0")
    store.postpone(lease, 60, blameless=True)
    assert store.begin(job_id, "a/0", 60) is None
    store.postpone(lease, 0, blameless=True)
    assert _expired(store) == [(job_id, "a/0")]
    assert store.begin(job_id, "a/0", 60) is not None


def test_an_attempt_that_an_outage_ended_is_not_counted(store):
    job_id = listed(store)
    attempts: list[int] = []
    for blameless in (True, False, True, True, False, False):
        lease = begun(store, job_id, "a/0")
        attempts.append(lease.attempts)
        store.postpone(lease, 0, blameless=blameless)
        assert _expired(store) == [(job_id, "a/0")]
    assert attempts == [1, 1, 2, 2, 2, 3]


def test_a_listing_that_lost_its_lease_adds_nothing(store):
    job = store.create(SPEC)
    outlived = begun(store, job.id, LISTING, seconds=0.001)
    _expired(store)
    begun(store, job.id, LISTING)
    with pytest.raises(LeaseLostError):
        store.add_chunk(outlived, [Listed(Entry("a", "b"))], SPEC.models)
    with pytest.raises(LeaseLostError):
        store.end_listing(outlived)
    assert store.get(job.id).progress[0].listed == 0


def test_open_work_without_a_lease_is_found_if_its_queue_is_empty(store):
    job_id = listed(store)
    assert store.unleased(job_id, {"a": 0, "b": 0}) == ["a/0", "b/0"]
    assert store.unleased(job_id, {"a": 1, "b": 0}) == ["b/0"]
    begun(store, job_id, "b/0")
    assert store.unleased(job_id, {"a": 1, "b": 0}) == []
    assert store.unleased(store.create(SPEC).id, {LISTING: 0}) == [LISTING]


def test_a_job_that_is_gone_does_not_keep_others_from_being_swept(store, valkey):
    with valkey.client() as client:
        client.sadd("landmarks:active", "0-gone")  # the first to be looked at
    job_id = listed(store)
    sent: list[tuple[str, str]] = []
    sweeper = Sweeper(store, lambda job, field: sent.append((job, field)))
    sweeper.sweep()
    sweeper.sweep()
    assert sent == [(job_id, "a/0"), (job_id, "b/0")]
    assert store.active() == [job_id]


def test_a_failed_job_says_why_and_has_nothing_left_to_do(store):
    job_id = listed(store)
    lease = begun(store, job_id, "a/0")
    store.fail(job_id, "no such encoder")
    store.fail(job_id, "something else")
    job = store.get(job_id)
    assert (job.state, job.error) == (JobState.FAILED, "no such encoder")
    outcome = ChunkOutcome(stored=2, unchanged=0, duplicate=0, dead=(), encoded=2)
    assert store.end_chunk(lease, "a", outcome) is None
    assert store.begin(job_id, "b/0", 60) is None


def done(store: JobStore, job_id: str, field: str, **counts: object) -> None:
    """End a chunk of two photos."""
    outcome = {"stored": 2, "unchanged": 0, "duplicate": 0, "dead": (), "encoded": 2, **counts}
    assert (
        store.end_chunk(begun(store, job_id, field), field[0], ChunkOutcome(**outcome)) is not None
    )


def test_a_cancelled_job_counts_what_was_not_done_and_can_be_resumed(store):
    job_id = listed(store, chunks=2)
    done(store, job_id, "a/0")
    running = begun(store, job_id, "a/1")

    job = store.cancel(job_id)
    assert job.state is JobState.CANCELLED
    assert [(p.done, p.cancelled, p.listed) for p in job.progress] == [(2, 2, 4), (0, 4, 4)]
    assert not store.renew(running, 60), "who works on it learns that it is over"
    assert store.begin(job_id, "b/0", 60) is None
    assert store.active() == []
    assert store.held() == []
    assert store.cancel(job_id) == job

    resumed, has_work = store.resume(job_id)
    assert has_work
    assert (resumed.state, resumed.progress[0].cancelled) == (JobState.QUEUED, 0)
    assert store.open_work(job_id) == ["a/1", "b/0", "b/1"]
    assert store.resume(job_id) == (resumed, False)
    outcome = ChunkOutcome(stored=2, unchanged=0, duplicate=0, dead=(), encoded=2)
    again = begun(store, job_id, "a/1")
    assert again.attempts == 1
    assert store.end_chunk(running, "a", outcome) is None, "a worker of before is not believed"
    assert store.end_chunk(again, "a", outcome) is not None
    for field in ("b/0", "b/1"):
        done(store, job_id, field)
    job = store.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert [(p.done, p.cancelled) for p in job.progress] == [(4, 0), (4, 0)]
    assert store.cancel(job_id) == job


def test_the_remaining_time_follows_the_rate_so_far():
    fields = {"spec": SPEC.to_json(), "state": "running", "created": "0", "updated": "0"}
    fields |= {"listed": "30", "stored:a": "8", "dead:a": "2", "first:a": "1000", "last:a": "6000"}
    begun, not_begun = Job.from_fields("id", fields).progress
    assert (begun.photos_per_second, begun.seconds_left) == (2.0, 10.0)
    assert not_begun.seconds_left is None


def test_a_resumed_listing_continues_where_it_was_cancelled(store):
    job = store.create(SPEC)
    before = begun(store, job.id, LISTING)
    store.add_chunk(before, [Listed(Entry("a", "b"))], SPEC.models)
    store.cancel(job.id)
    with pytest.raises(LeaseLostError):
        store.add_chunk(before, [Listed(Entry("c", "d"))], SPEC.models)
    store.resume(job.id)
    with pytest.raises(LeaseLostError):
        store.end_listing(before)
    lease = begun(store, job.id, LISTING)
    assert list(store.chunks(job.id)) == [[Listed(Entry("a", "b"))]]
    assert store.add_chunk(lease, [Listed(Entry("c", "d"))], SPEC.models) == 1
    store.end_listing(lease)
    assert store.get(job.id).progress[0].listed == 2


def test_a_failed_job_can_be_resumed(store, valkey):
    job_id = listed(store)
    done(store, job_id, "a/0")
    store.fail(job_id, "no encoder")
    resumed, has_work = store.resume(job_id)
    assert (has_work, resumed.state, resumed.error) == (True, JobState.QUEUED, "")
    assert store.open_work(job_id) == ["b/0"]
    with valkey.client() as client:
        assert {client.ttl(key) for key in client.keys("landmarks:job:*")} == {-1}
    done(store, job_id, "b/0")
    assert store.get(job_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("running", [True, False])
def test_retried_dead_letters_keep_all_that_is_known_of_them(store, running):
    job_id = listed(store, chunks=2 if running else 1)
    done(store, job_id, "a/0", stored=1, dead=(LETTER,), encoded=1)
    done(store, job_id, "b/0")
    assert store.get(job_id).ended is not running

    job, has_work = store.retry_dead_letters(job_id)
    assert has_work
    assert (job.ended, job.progress[0].dead, job.progress[0].listed) == (
        False,
        0,
        4 - 2 * (not running),
    )
    assert store.dead_letters(job_id, 10, "") == ([], "")
    new = "a/2" if running else "a/1"
    assert store.open_work(job_id) == (["a/1", new, "b/1"] if running else [new])
    assert store.chunk(job_id, int(new[2:])) == [Listed(ENTRY)]
    assert store.retry_dead_letters(job_id) == (job, False)
    done(store, job_id, new, stored=0, unchanged=1, encoded=0)
    if running:
        for field in ("a/1", "b/1"):
            done(store, job_id, field)
    job = store.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert all(p.done == p.listed for p in job.progress)


def test_a_refused_job_cannot_be_resumed(store):
    job = store.create(IndexSpec("g", "", ()))
    store.fail(job.id, "no source")
    with pytest.raises(InvalidInputError, match="start another"):
        store.resume(job.id)


def test_work_that_is_due_last_is_due_again_after_chunks_added_before_it(store):
    job = store.create(SPEC)
    listing = begun(store, job.id, LISTING)
    assert store.end_listing(listing, (), "a/promote") == "a/promote"
    first = begun(store, job.id, "a/promote")
    assert store.add_before(first, "a", [[Listed(ENTRY)]]) == [0]
    assert store.open_work(job.id) == ["a/0"]
    assert store.get(job.id).progress[0].listed == 1
    outcome = ChunkOutcome(stored=1, unchanged=0, duplicate=0, dead=(), encoded=1)
    assert store.end_chunk(begun(store, job.id, "a/0"), "a", outcome) == "a/promote"
    second = begun(store, job.id, "a/promote")
    nothing = ChunkOutcome(stored=0, unchanged=0, duplicate=0, dead=(), encoded=0)
    assert store.end_chunk(first, "a", nothing) is None, "its time is over"
    assert not store.renew(first, 60)
    assert store.end_chunk(second, "a", nothing) == ""
    assert store.get(job.id).state is JobState.SUCCEEDED


def test_a_photo_that_is_dead_for_two_models_is_one_dead_photo_until_it_is_retried(store):
    job_id = listed(store, chunks=2)
    other = replace(LETTER, entry=replace(ENTRY, path="\udcff.jpg"))  # not UTF-8
    done(store, job_id, "a/0", stored=0, dead=(LETTER, other), encoded=0)
    done(store, job_id, "b/0", stored=1, dead=(replace(LETTER, model="b"),), encoded=1)
    photos = store.get(job_id).photos
    assert (photos.listed, photos.done, photos.dead) == (4, 2, 2)
    for field in ("a/1", "b/1"):
        done(store, job_id, field, stored=2, encoded=2)
    assert store.get(job_id).photos.done == 4
    store.retry_dead_letters(job_id)
    photos = store.get(job_id).photos
    assert (photos.listed, photos.done, photos.dead) == (4, 2, 0)


def test_dead_letters_of_a_cancelled_job_wait_until_it_is_resumed(store):
    job_id = listed(store, chunks=2)
    done(store, job_id, "a/0", stored=1, dead=(LETTER,), encoded=1)
    store.cancel(job_id)
    with pytest.raises(InvalidInputError, match="resume it"):
        store.retry_dead_letters(job_id)
    assert store.dead_letters(job_id, 10, "") == ([LETTER], "")
    for ask in (store.cancel, store.resume, store.retry_dead_letters):
        with pytest.raises(NotFoundError):
            ask("none")


def test_an_ended_job_is_kept_for_a_month_and_leaves_nothing(store, valkey):
    job = store.create(SPEC, "request")
    store.fail(job.id, "enough")
    with valkey.client() as client:
        month = 30 * 24 * 3600
        for key in (f"landmarks:job:{job.id}", "landmarks:request:request"):
            assert month - 60 < client.ttl(key) <= month
            client.delete(key)
        assert store.page("", 10, "") == ([], "")
        assert client.keys("*") == []


def test_a_request_id_stands_for_one_job(store):
    first = store.create(SPEC, "request")
    assert store.create(SPEC, "request").id == first.id
    assert store.of_request("request", SPEC) == first
    assert store.of_request("other", SPEC) is None
    other = IndexSpec("h", "/photos", ("a",))
    for repeat in (store.create, lambda spec, request: store.of_request(request, spec)):
        with pytest.raises(AlreadyExistsError, match=first.id):
            repeat(other, "request")
    with pytest.raises(InvalidInputError):
        store.create(SPEC, "x" * 201)


def test_targets_are_those_of_the_job(store):
    job = store.create(SPEC)
    store.set_targets(
        job.id,
        "photos",
        [CollectionTarget("a", "d1", "g__a__d1"), CollectionTarget("b", "d2", "c")],
    )
    found = store.get(job.id)
    assert found.source_name == "photos"
    assert [(p.digest, p.collection) for p in found.progress] == [("d1", "g__a__d1"), ("d2", "c")]


def test_jobs_and_letters_come_in_pages(store):
    galleries = ["g", "h", "g", "g", "h"]
    ids = [store.create(IndexSpec(g, "/photos", ("a",))).id for g in galleries]
    assert sorted(_pages(store, "")) == sorted(ids)
    assert set(_pages(store, "h")) == {ids[1], ids[4]}
    with pytest.raises(InvalidInputError):
        store.page("", 2, "x:y")
    with pytest.raises(NotFoundError):
        store.dead_letters("none", 2, "")


def _pages(store: JobStore, gallery: str) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        jobs, token = store.page(gallery, 2, token)
        found += [job.id for job in jobs]
        if not token:
            return found


def _expired(store: JobStore) -> list[tuple[str, str]]:
    """Take all leases, as who has seen them unchanged for long enough does."""
    return store.take_expired(store.held())
