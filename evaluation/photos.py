"""Labelled photos of a manifest or folder, as evaluation and the study read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from landmarks.errors import InvalidInputError, LandmarksError
from landmarks.source_roots import SourceRoots
from landmarks.sources import Entry, Sources

_SPLIT = "split"


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo on this disk and what it shows. `columns` are the manifest's others, `split` too."""

    path: Path
    name: str  # relative to the source, with "/"
    landmark: str
    split: str
    columns: Mapping[str, str]


def read_photos(source: Path, splits: Sequence[str]) -> list[LabelledPhoto]:
    """Return the labelled photos of these splits, in the source's order; of all, if none is named.

    A folder has no splits. A photo that is listed again is left out, as it is when indexing.

    Raises InvalidInputError where the source cannot be used, names no such split, or lists a photo
    that is not there or has no landmark (with the number of such photos and the first of them).
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
        present = {entry.columns.get(_SPLIT, "") for entry in entries}
        for split in splits:
            if split not in present:
                sources.open(str(place), [split]).check()  # raises, and says which there are
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
            split=entry.columns.get(_SPLIT, ""),
            columns=entry.columns,
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
