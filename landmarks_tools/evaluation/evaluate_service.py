"""Retrieval figures of a model by the running system: its index and its exact search."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor

from landmarkapi.indexing.v1 import indexing_pb2
from landmarks.client import Landmarks
from landmarks.errors import InvalidInputError, LandmarksError, NotFoundError
from landmarks.retrieval.labelled_photos import GalleryAndQueries, LabelledPhoto
from landmarks.retrieval.metrics import RetrievalResult, evaluate_rankings

Progress = Callable[[str, int, int | None], None]  # the step, how many are done, of how many

# The limits of Search: hits per answer, and hits that can be skipped.
_PAGE = 1000
_MOST_SKIPPED = 10_000
# Pages are cut from rankings of different depths, in which photos of equal score may be ordered
# differently: a photo that one page misses is near the end of the page before.
_OVERLAP = 100
_AT_ONCE = 4  # searches
_KEPT = 16  # rankings
_SOURCE_NAME = "evaluation"


def evaluate_through(
    client: Landmarks,
    model: str,
    photos: GalleryAndQueries,
    progress: Progress | None = None,
) -> RetrievalResult:
    """Return how well the queries find the photos of their landmarks, searching with the system.

    The photos are indexed into a gallery named by a hash of them, so that evaluating again encodes
    none. The workers must be able to read the source at the same path.

    Raises NotFoundError for a model that is not served, InvalidInputError for a gallery larger than
    searches can rank, LandmarksError if photos could not be indexed or ranked, and as the client.
    """
    gallery, queries = photos.gallery, photos.queries
    if len(gallery) > _MOST_SKIPPED + _PAGE:
        raise InvalidInputError(
            f"the gallery has {len(gallery):,} photos, and searches reach"
            f" {_MOST_SKIPPED + _PAGE:,} deep; evaluate without the running system"
        )
    report = progress or _silent
    name = gallery_name(gallery, model, _served_digest(client, model))
    _index(client, name, model, photos, report)
    places = {photo.name: place for place, photo in enumerate(gallery)}
    by_landmark: dict[str, set[int]] = {}
    for place, photo in enumerate(gallery):
        by_landmark.setdefault(photo.landmark, set()).add(place)

    def rank(query: LabelledPhoto) -> list[int]:
        return _ranking(client, name, model, query, places, by_landmark.get(query.landmark, set()))

    def rankings(pool: ThreadPoolExecutor) -> Iterator[list[int]]:
        # In portions: a map over all would hold every ranking of a large gallery until the end.
        for first in range(0, len(queries), _KEPT):
            yield from pool.map(rank, queries[first : first + _KEPT])
            report("searches", min(first + _KEPT, len(queries)), len(queries))

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="search") as pool:
        try:
            return evaluate_rankings(
                rankings(pool),
                [photo.landmark for photo in gallery],
                [photo.landmark for photo in queries],
                left_out=photos.own_places,
            )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def gallery_name(photos: Sequence[LabelledPhoto], model: str, digest: str) -> str:
    """Return the name of the gallery of exactly these photos by this encoder.

    It is a hash of the photos' names, landmarks and bytes, and of the encoder.
    """
    content = hashlib.sha256(f"{model}\0{digest}\n".encode())
    for photo in sorted(photos, key=lambda photo: photo.name):
        data = hashlib.sha256(photo.path.read_bytes()).hexdigest()
        content.update(f"{photo.name}\0{photo.landmark}\0{data}\n".encode())
    return f"evaluation-{content.hexdigest()[:16]}"


def _served_digest(client: Landmarks, model: str) -> str:
    served = client.models()
    ready = [one.digest for one in served if one.name == model and one.ready]
    if not ready:
        names = ", ".join(sorted({one.name for one in served if one.ready})) or "none"
        raise NotFoundError(f"the running system does not serve model {model!r}; ready: {names}")
    return ready[0]


def _index(
    client: Landmarks, name: str, model: str, photos: GalleryAndQueries, report: Progress
) -> None:
    """Index the gallery, and check that it holds exactly these photos."""
    job = client.index(
        source=str(photos.source.expanduser().absolute()),
        gallery=name,
        models=[model],
        splits=photos.gallery_splits,
        source_name=_SOURCE_NAME,
    )
    for job in client.watch(job.id):  # noqa: B020 - the same job, later
        for item in job.progress:
            done = item.stored + item.unchanged + item.dead + item.duplicate
            report("indexed", done, item.listed if job.listing_complete else None)
    if job.state == indexing_pb2.JOB_STATE_FAILED:
        raise LandmarksError(f"the gallery could not be indexed: job {job.id}: {job.error}")
    if any(item.dead for item in job.progress):
        letter = next(iter(client.dead_letters(job.id)))
        dead = sum(item.dead for item in job.progress)
        raise LandmarksError(
            f"{dead} photos of the gallery could not be indexed;"
            f" the first is {letter.path}: {letter.reason}"
        )
    points = sum(one.points for one in client.collections(name) if one.live)
    if points != len(photos.gallery):
        raise LandmarksError(
            f"gallery {name!r} has {points} points, not one for each of the {len(photos.gallery)}"
            " photos; was the source changed meanwhile?"
        )


def _ranking(
    client: Landmarks,
    name: str,
    model: str,
    query: LabelledPhoto,
    places: Mapping[str, int],
    relevant: AbstractSet[int],
) -> list[int]:
    """Return places of gallery photos, most similar first, ties in the gallery's order.

    Stops once all `relevant` ones are found: photos after them change no figure, and deep pages
    are slow.
    """
    data = query.path.read_bytes()
    scores: dict[int, float] = {}
    for offset in range(0, max(1, len(places) - _OVERLAP), _PAGE - _OVERLAP):
        try:
            answer = client.search(
                photo=data,
                gallery=name,
                models=[model],
                limit=_PAGE,
                offset=min(offset, _MOST_SKIPPED),
                exact=True,
            )
        except InvalidInputError as error:
            raise InvalidInputError(f"{query.path}: {error}") from error
        for hit in answer.rankings[0].hits:
            scores[places[hit.point.payload.fields["path"].string_value]] = hit.score
        if len(scores) == min(offset + _PAGE, len(places)) and _all_found(relevant, scores):
            break
    else:
        if len(scores) != len(places):
            raise LandmarksError(
                f"searching for {query.path} found {len(scores)} of the {len(places)} photos of"
                " the gallery; do many have the same vector?"
            )
    return sorted(scores, key=lambda place: (-scores[place], place))


def _all_found(relevant: AbstractSet[int], scores: Mapping[int, float]) -> bool:
    """Return whether all are found, with a lower score after them that excludes further ties."""
    if not relevant <= scores.keys():
        return False
    least = min((scores[place] for place in relevant), default=math.inf)
    return min(scores.values(), default=-math.inf) < least


def _silent(what: str, done: int, total: int | None) -> None:
    """Show nothing."""
