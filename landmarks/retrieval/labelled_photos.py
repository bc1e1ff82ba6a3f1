"""Labelled photos of a manifest or folder, as evaluation and the study read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from landmarks.errors import InvalidInputError, LandmarksError
from landmarks.photos.entry import Entry
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Sources

_SPLIT = "split"


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo on this disk and its landmark. `columns` are all others of the manifest."""

    path: Path
    name: str  # relative to the source, with "/"
    landmark: str
    split: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class GalleryAndQueries:
    """The gallery and the queries of a source. Without splits, both are all of it."""

    source: Path
    gallery_splits: Sequence[str]
    query_splits: Sequence[str]
    gallery: Sequence[LabelledPhoto]
    queries: Sequence[LabelledPhoto]

    @property
    def own_places(self) -> list[tuple[int, ...]]:
        """The index of each query in the gallery, if it is in it.

        The file counts, not its bytes: a copy under another name is another photo, as it is in the
        running system.
        """
        places = {photo.path: (place,) for place, photo in enumerate(self.gallery)}
        return [places.get(photo.path, ()) for photo in self.queries]


def read_gallery_and_queries(
    source: Path, gallery: Sequence[str], queries: Sequence[str]
) -> GalleryAndQueries:
    """Return the photos of some splits as the gallery, and of some as the queries.

    Without splits each photo is a query against all others. Raises InvalidInputError as
    `read_photos`, for splits of one kind only, and if no query could find anything.
    """
    if bool(gallery) != bool(queries):
        raise InvalidInputError("give both --gallery and --queries, or neither", field="splits")
    searched, asked = (read_photos(source, splits) for splits in (gallery, queries))
    splits = sorted({photo.split for photo in searched} - {""})
    if splits and not gallery:
        raise InvalidInputError(
            f"{source} has splits ({', '.join(splits)}); say with --gallery and --queries which of"
            " them are searched, and which are searched for",
            field="splits",
        )
    found = GalleryAndQueries(source, gallery, queries, searched, asked)
    photos_of = Counter(photo.landmark for photo in searched)
    others = zip(asked, found.own_places, strict=True)
    if not any(photos_of[query.landmark] > len(own) for query, own in others):
        raise InvalidInputError(
            f"no photo of {source} can find another: every query's landmark has no other photo in"
            " the gallery. Landmarks need two photos at least, each landmark in a folder of its own"
            " or named in the manifest",
            field="source",
        )
    return found


def read_photos(source: Path, splits: Sequence[str]) -> list[LabelledPhoto]:
    """Return the labelled photos of these splits, in the source's order; of all, if none is named.

    A folder has no splits. A photo that is listed twice is read once, as when indexing.

    Raises InvalidInputError if the source cannot be used, names no such split, or lists a photo
    that does not exist or has no landmark (with the number of such photos and the first of them).
    """
    place = source.expanduser().absolute()
    if not place.exists():
        raise InvalidInputError(f"{source} does not exist", field="source")
    if not place.is_dir() and place.suffix.lower() != ".csv":
        raise InvalidInputError(
            f"{source} is neither a folder of photos nor a manifest (a .csv file)", field="source"
        )
    sources = Sources(SourceRoots(["/"]))  # the user's own files
    try:
        entries = list(sources.open(str(place), splits).entries())
        present = {str(entry.columns.get(_SPLIT, "")) for entry in entries}
        for split in splits:
            if split not in present:
                sources.open(str(place), [split]).check()  # raises, and lists those that exist
    except InvalidInputError:
        raise
    except LandmarksError as error:
        raise InvalidInputError(f"{source} cannot be read: {error}", field="source") from error
    root = place if place.is_dir() else place.parent
    return _usable(source, root, {entry.path: entry for entry in reversed(entries)}, entries)


def _usable(
    source: Path, root: Path, firsts: Mapping[str, Entry], entries: Sequence[Entry]
) -> list[LabelledPhoto]:
    once = [entry for entry in entries if firsts[entry.path] is entry]
    problems = [(entry, why) for entry in once if (why := _problem(root, entry))]
    if problems:
        first, why = problems[0]
        raise InvalidInputError(
            f"{len(problems)} of {len(once)} photos of {source} cannot be used;"
            f" the first is {first.path}: {why}",
            field="source",
        )
    return [
        LabelledPhoto(
            path=root / entry.path,
            name=entry.path,
            landmark=entry.landmark or "",
            split=str(entry.columns.get(_SPLIT, "")),
            columns={name: str(value) for name, value in entry.columns.items()},
        )
        for entry in once
    ]


def _problem(root: Path, entry: Entry) -> str:
    if entry.problem:
        return entry.problem
    if not entry.landmark:
        return "it has no landmark"
    if not (root / entry.path).is_file():
        return "there is no such file"
    return ""
