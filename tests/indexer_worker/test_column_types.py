"""The types of a gallery's fields: one for each, whichever sources write them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from landmarks.job_store.records import Job, JobState
from landmarks.photos.column_types import place_value
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.filters import fitted
from landmarks.vector_store.point_store import PointStore
from landmarks.vector_store.queries import point_ids
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks_tools.cli.where import filter_of
from search_service.search.parse_filter import parse_filter
from tests.support.indexing_rig import MODEL, Rig, draw_photo

pytestmark = pytest.mark.integration

# The columns of ../shared/cases/manifest_numbers.csv.
NUMBERS = [
    {
        "path": f"{n}.png",
        "landmark": "Atomium",
        "year": str(1995 + n),
        "rating": f"{n / 2:.1f}",
        "taken": f"2024-{1 + n % 9:02}-01T10:00:00Z",
        "tags": "sunset;night",
        "has people": str(n % 2 == 0),
        "where": f"{50 + n / 10},4.34",
    }
    for n in range(12)
]


def manifest(rig: Rig, gallery: str, rows: Sequence[dict[str, str]], folder: str = "one") -> Path:
    place = rig.photos / gallery / folder
    for row in rows:
        if not (place / row["path"]).exists():
            draw_photo(place / row["path"], int(Path(row["path"]).stem))
    with (place / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return place / "manifest.csv"


def column(name: str, *cells: str) -> list[dict[str, str]]:
    return [{"path": f"{n}.png", "landmark": "x", name: cell} for n, cell in enumerate(cells)]


def succeeded(job: Job) -> Job:
    assert job.state is JobState.SUCCEEDED, job.error
    return job


class Store:
    """A gallery's collection, as a search sees it."""

    def __init__(self, client: QdrantClient, settings: VectorStoreSettings, gallery: str) -> None:
        self.client = client
        self.points = PointStore(client, settings)
        self.collections = collections = Collections(client, settings)
        self.name = collections.live(gallery, MODEL).name

    def count(self, *where: str, **more: str) -> int:
        chosen = parse_filter(filter_of(where, **more))
        return self.points.count(self.name, fitted(chosen, self.kinds, self.name))

    @property
    def kinds(self) -> dict[str, str]:
        return dict(self.collections.kinds(self.name))


@contextmanager
def store(rig: Rig, gallery: str) -> Iterator[Store]:
    settings = VectorStoreSettings(qdrant_port=rig.qdrant_port)
    with closing(rig.client()) as client:
        yield Store(client, settings, gallery)


def test_numbers_dates_and_lists_of_a_manifest_are_found_as_such(rig: Rig, gallery: str) -> None:
    succeeded(rig.index(gallery, manifest(rig, gallery, NUMBERS)))

    first = rig.payloads(gallery)["5.png"]
    assert (first["year"], first["rating"], first["has people"]) == (2000, 2.5, False)
    assert type(rig.payloads(gallery)["0.png"]["rating"]) is float
    assert first["tags"] == ["sunset", "night"]
    assert first["where"] == place_value(50.5, 4.34)
    with store(rig, gallery) as found:
        typed = ("year", "rating", "taken", "has people", "tags", "where")
        kinds = ("integer", "float", "datetime", "bool", "keyword", "geo")
        assert {name: found.kinds[name] for name in typed} == dict(zip(typed, kinds, strict=True))
        assert found.count("year>=2000") == 7
        assert found.count("rating>=2.5") == 7
        assert found.count("has people=true") == 6
        assert found.count("rating=3") == 1
        assert found.count("year=1999.0") == 1
        assert found.count("tags=night") == 12
        assert found.count("taken=2024-03") == 2
        assert found.count("taken>=2024-09") == 1
        assert found.count("taken>=2000") == 12
        assert found.count("taken<2000") == 0
        assert found.count("year>=2000", "rating<3") == 1
        assert found.count("year=1995", "year=1996") == 2
        assert found.count(after="2024-09") == 1
        assert found.count(near="where=50.5,4.34,12km") == 3
        assert found.count(inside="where=50.1,4,50.3,5") == 3
        assert found.count("year=1995", "tags=rain", any_of=True) == 1
        assert found.count(unlabelled=True) == 0


def test_a_gallery_of_texts_gets_types_without_encoding(rig: Rig, gallery: str) -> None:
    """As the program before stored every cell as it was."""
    source = manifest(rig, gallery, NUMBERS)
    succeeded(rig.index(gallery, source))
    with store(rig, gallery) as found:
        for point in list(found.points.scan(found.name)):
            number = int(str(point.payload["path"]).partition(".")[0])
            texts = {**point.payload, **NUMBERS[number], "path": point.payload["path"]}
            found.client.overwrite_payload(found.name, texts, point_ids([point.id]))
        for name in ("year", "rating", "taken", "has people", "tags", "where"):
            found.client.delete_payload_index(found.name, f'"{name}"')
        assert found.count("year>=2000") == 0
        [progress] = succeeded(rig.index(gallery, source)).progress
        assert (progress.stored, progress.encoded) == (12, 0)
        assert found.count("year>=2000") == 7
        [progress] = succeeded(rig.index(gallery, source)).progress
        assert (progress.stored, progress.unchanged) == (0, 12)


def test_fractions_of_another_source_make_a_field_one_of_numbers(rig: Rig, gallery: str) -> None:
    first = manifest(rig, gallery, column("size", "100", "102"))
    succeeded(rig.index(gallery, first))
    succeeded(rig.index(gallery, manifest(rig, gallery, column("size", "101.5"), "two")))
    with store(rig, gallery) as found:
        assert found.kinds["size"] == "float"
        assert found.count("size>=101") == 2
        assert found.count("size=100") == 1
        # The next job of the first source stores its whole numbers as numbers too.
        [progress] = succeeded(rig.index(gallery, first)).progress
        assert (progress.stored, progress.encoded) == (2, 0)
        assert {type(one["size"]) for one in rig.payloads(gallery).values()} == {float}
        assert found.count("size>=101") == 2


def test_a_cell_that_does_not_fit_the_gallery_is_an_error_that_names_it(
    rig: Rig, gallery: str
) -> None:
    succeeded(rig.index(gallery, manifest(rig, gallery, column("year", "1889", "1958"))))
    odd = column("year", "1889", "ca. 1890")
    job = rig.index(gallery, manifest(rig, gallery, odd, "two"))
    assert job.state is JobState.FAILED
    assert "line 3: 'ca. 1890' is not a whole number" in job.error
    assert "year:text" in job.error
    assert len(rig.payloads(gallery)) == 2

    stated = [{("year:text" if k == "year" else k): v for k, v in row.items()} for row in odd]
    succeeded(rig.index(gallery, manifest(rig, gallery, stated, "two")))
    with store(rig, gallery) as found:
        assert "year" not in found.kinds
        assert found.count("year=1889") == 2  # the number of one source, the text of the other
        assert found.count("year>=1889") == 2


def test_texts_of_another_source_are_remembered(rig: Rig, gallery: str) -> None:
    succeeded(rig.index(gallery, manifest(rig, gallery, column("code", "A1", "B2"))))
    second = manifest(rig, gallery, column("code", "100", "101"), "two")
    job = succeeded(rig.index(gallery, second))
    assert "column 'code' of the manifest is stored as text" in job.outcome
    with store(rig, gallery) as found:
        assert found.count("code=100") == 1
        assert "code" not in found.kinds
