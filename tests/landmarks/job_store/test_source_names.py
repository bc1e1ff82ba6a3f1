"""A name stands for one source of a gallery."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from landmarks.errors import InvalidInputError
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.source_names import SourceNames
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import JobStore
from landmarks.photos.identity import SourceIdentity
from tests.support.valkey import Valkey

pytestmark = pytest.mark.integration

SPEC = IndexSpec("g", "/a/photos", ("m",))
A = SourceIdentity("file:///a/photos", "file:///a/photos")
B = SourceIdentity("file:///b/photos", "file:///b/photos")
TRAIN = SourceIdentity("file:///a/photos/train.csv", "file:///a/photos")
TEST = SourceIdentity("file:///a/photos/test.csv", "file:///a/photos")
OF_A, OF_B = "file:///a/photos/x/1.jpg", "file:///b/photos/x/1.jpg"
ANOTHER = "photos of another source called 'photos', from file:///a/photos"


class Names:
    """The names of a gallery, whose points of the source are as `stored` says."""

    def __init__(self, valkey: Valkey) -> None:
        self.jobs = JobStore(connect_redis(valkey.url), valkey.url)
        self.names = SourceNames(connect_redis(valkey.url), valkey.url)
        self.stored: str | None = None
        self.others: dict[str, str] = {}  # uris of points of sources with other names
        self.there: set[str] = set()
        self.named = ""

    def check(self, identity: SourceIdentity, spec: IndexSpec = SPEC) -> str:
        return self._choose(identity, spec, "")

    def index(self, identity: SourceIdentity, spec: IndexSpec = SPEC, *, end: bool = True) -> str:
        job = self.jobs.create(spec).id
        self.named = self._choose(identity, spec, job)
        if end:
            self.jobs.cancel(job)
        return job

    def _choose(self, identity: SourceIdentity, spec: IndexSpec, job: str) -> str:
        return self.names.choose(
            spec, "photos", identity, self._uri_of, self.there.__contains__, job_id=job
        )

    def _uri_of(self, name: str) -> str | None:
        return self.stored if name == "photos" else self.others.get(name)


@pytest.fixture
def names(valkey: Valkey) -> Iterator[Names]:
    with valkey.client() as client:
        client.flushall()
    made = Names(valkey)
    yield made
    made.names.close()
    made.jobs.close()


def test_another_source_is_refused_while_points_of_the_first_exist(names):
    names.index(A)
    names.stored = OF_A
    names.index(A)
    for refused in (names.check, names.index):
        with pytest.raises(InvalidInputError, match=ANOTHER) as caught:
            refused(B)
        assert caught.value.field == "source_name"
    names.index(A)
    names.stored = None
    names.index(B)


def test_another_source_is_refused_while_the_first_job_runs(names):
    job = names.index(A, end=False)
    with pytest.raises(InvalidInputError, match=ANOTHER):
        names.index(B)
    names.jobs.cancel(job)
    names.index(B)


def test_two_sources_of_one_name_that_are_both_there_get_names_of_their_own(names):
    names.index(A)
    names.stored = OF_A
    names.there = {OF_A, A.root}
    names.index(B)
    assert names.named == "b-photos"
    names.others["b-photos"] = OF_B
    for source, name in ((A, "photos"), (B, "b-photos"), (A, "photos")):
        names.index(source)
        assert names.named == name
    names.there.add(OF_B)
    deep = "file:///c/b/photos"
    names.index(SourceIdentity(deep, deep))
    assert names.named == "c-b-photos"


def test_names_are_found_again_by_the_points_once_redis_has_lost_them(names):
    names.stored, names.others["b-photos"] = OF_A, OF_B
    names.there = {OF_A, OF_B}
    names.index(B)
    assert names.named == "b-photos"
    names.index(A)
    assert names.named == "photos"


def test_two_sources_that_are_indexed_at_once_get_two_names(names):
    names.there = {A.root}
    names.index(A, end=False)
    names.index(B, end=False)
    assert names.named == "b-photos"


def test_names_go_on_with_numbers_where_folders_do_not_tell_sources_apart():
    of_zip = SourceIdentity("", "zip://x/DCIM::file:///media/card.zip")
    found = list(of_zip.names("DCIM"))
    assert found[:5] == [
        "DCIM",
        "x-DCIM",
        "card-x-DCIM",
        "card-x-DCIM-2",
        "card-x-DCIM-3",
    ]
    assert list(SourceIdentity("file:///l.txt", "").names("l"))[:2] == ["l", "l-2"]
    assert next(iter(SourceIdentity("", "https://h/a/DCIM").names("DCIM"))) == "DCIM"


def test_a_source_that_moved_keeps_its_points_if_it_is_named(names):
    names.index(A)
    names.stored = OF_A
    names.there = {OF_A}
    names.index(B, replace(SPEC, source_name="photos"))
    names.there = set()
    names.index(B)
    with pytest.raises(InvalidInputError, match="from file:///b/photos"):
        names.index(A)


def test_points_of_a_time_before_names_were_kept_say_whose_the_name_is(names):
    names.stored = OF_B
    with pytest.raises(InvalidInputError, match=f"from {OF_B}"):
        names.check(A)
    names.index(B)


def test_a_dry_run_takes_no_name(names):
    names.index(A, replace(SPEC, dry_run=True))
    names.index(B)


def test_photos_that_another_list_named_are_pruned_only_if_that_is_confirmed(names):
    names.index(TRAIN)
    names.stored = OF_A
    names.index(TEST)
    pruning = replace(SPEC, prune=True)
    for listing, other in ((TRAIN, "test.csv"), (TEST, "train.csv")):
        with pytest.raises(InvalidInputError, match=f"{other} too, and pruning by") as caught:
            names.index(listing, pruning)
        assert caught.value.field == "prune"
    names.index(TEST, replace(pruning, prune_confirmed=True))
    names.index(TEST, pruning)
    with pytest.raises(InvalidInputError, match=r"test\.csv too"):
        names.index(TRAIN, pruning)


@pytest.mark.parametrize(
    ("root", "uri", "covers"),
    [
        ("file:///a/photos", "file:///a/photos/x.jpg", True),
        ("file:///a/photos", "file:///a/photosandmore/x.jpg", False),
        ("file:///a/photos", "zip://x.jpg::file:///a/photos/y.zip", False),
        ("zip://in::file:///y.zip", "zip://in/x.jpg::file:///y.zip", True),
        ("zip://in::file:///y.zip", "zip://out/x.jpg::file:///y.zip", False),
        ("zip://::file:///y.zip", "zip://in/x.jpg::file:///y.zip", True),
        ("zip://::file:///y.zip", "zip://in/x.jpg::file:///z.zip", False),
        ("https://host/photos", "https://host/photos/a%20b.jpg", True),
        ("https://host/photos", "https://other/photos/x.jpg", False),
        ("file:///a/photos", "", False),
        ("", "https://other/photos/x.jpg", True),
    ],
)
def test_a_source_covers_the_photos_below_its_root(root, uri, covers):
    assert SourceIdentity(root, root).covers(uri) is covers
