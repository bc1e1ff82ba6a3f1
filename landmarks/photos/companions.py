"""Files that belong together: a photo, its raw form, its moving part, and what describes it.

By the names that cameras, Apple Photos, Google Takeout and editors of raw files give, whatever
their case: `IMG_1.HEIC` with `IMG_1.MOV` and `IMG_1.AAE`, `PXL_1.MP.jpg` with `PXL_1.MP`,
`IMG_1.JPG` with `IMG_1.CR2`, `IMG_1.xmp` or `IMG_1.CR2.xmp`, `a.jpg` with
`a.jpg.supplemental-metadata.json`.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile

from landmarks.photos.file_types import RAW_EXTENSIONS, SkipReason, extension_of, file_reason

# Google Takeout adds this to a photo's name, and cuts what is longer than the second.
_TAKEOUT_SUFFIX = ".supplemental-metadata"
_TAKEOUT_LENGTH = 46
# The second `a.jpg` of a folder is `a(1).jpg` there, and its description `a.jpg….(1).json`.
_NUMBERED = re.compile(r"(.+)(\(\d{1,9}\))", re.DOTALL)
# Few, whatever a folder has: of a photo, and of photos whose names begin like a cut one.
_MOST_SIDECARS, _MOST_ALIKE = 8, 100
_EDITED = "-edited"  # such a photo shares the description of the one before it was edited


@dataclass(frozen=True)
class FolderFiles:
    """The files of one folder by name: its photos with their sidecars, and why others are none."""

    photos: Mapping[str, tuple[str, ...]]
    skipped: Mapping[str, SkipReason]


def sort_files(names: Iterable[str], *, raw_too: bool = False) -> FolderFiles:
    """Sort the files of one folder.

    A raw file beside a photo of the same name is the same photo, and skipped unless `raw_too`.
    What describes the raw file then describes that photo.
    """
    reasons = {name: file_reason(name) for name in names}
    photos = [name for name, reason in reasons.items() if reason is None]
    skipped = {name: reason for name, reason in reasons.items() if reason is not None}
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in photos:
        by_stem[_stem(name)].append(name)
    for name, reason in skipped.items():
        # The second: `PXL_1.MP` is the moving part of `PXL_1.MP.jpg`.
        if reason is SkipReason.VIDEO and (_stem(name) in by_stem or name.lower() in by_stem):
            skipped[name] = SkipReason.LIVE_PHOTO_VIDEO
    sidecars = [name for name, reason in skipped.items() if reason is SkipReason.SIDECAR]
    beside = _paired(sidecars, photos, by_stem) if sidecars else {}
    if not raw_too:
        for raw, picture in _raw_pairs(by_stem):
            skipped[raw] = SkipReason.RAW_BESIDE_PHOTO
            beside.setdefault(picture, set()).update(beside.get(raw, ()))
    return FolderFiles(
        {
            name: tuple(sorted(beside.get(name, ()))[:_MOST_SIDECARS])
            for name in photos
            if name not in skipped
        },
        skipped,
    )


def _raw_pairs(by_stem: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield each raw file with each photo of its name that is none."""
    for names in by_stem.values():
        raws = [name for name in names if extension_of(name) in RAW_EXTENSIONS]
        for raw in raws:
            for name in names:
                if name not in raws:
                    yield raw, name


def _paired(
    sidecars: Iterable[str], photos: Iterable[str], by_stem: Mapping[str, list[str]]
) -> dict[str, set[str]]:
    """Return the sidecars of each photo that has some."""
    takeout = _TakeoutNames(photos)
    beside: dict[str, set[str]] = {}
    for sidecar in sidecars:
        stem = _stem(sidecar)
        if extension_of(sidecar) == ".json":
            owners = takeout.described_by(stem)
        else:
            owners = takeout.called(stem) or by_stem.get(stem, [])
        for owner in owners:
            beside.setdefault(owner, set()).add(sidecar)
    return beside


class _TakeoutNames:
    """Photos by their whole names, and by those that Google Takeout had to number."""

    def __init__(self, photos: Iterable[str]) -> None:
        self._photos: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in photos:
            self._photos[name.lower(), ""].append(name)
            stem, extension = posixpath.splitext(name.lower())
            found = _NUMBERED.fullmatch(stem)
            plain, number = found.groups() if found else (stem, "")
            if found or plain.endswith(_EDITED):
                self._photos[plain.removesuffix(_EDITED) + extension, number].append(name)
        self._sorted = sorted(self._photos)

    def called(self, name: str) -> list[str]:
        """Return the photos of this name, in lower case."""
        return self._photos.get((name, ""), [])

    def described_by(self, stem: str) -> list[str]:
        """Return the photos that a description of this name, without `.json`, is about."""
        found = _NUMBERED.fullmatch(stem)
        ways = [(stem, ""), *([(found[1], found[2])] if found else [])]
        for base, number in ways:
            for length in range(len(_TAKEOUT_SUFFIX), -1, -1):
                photo = base.removesuffix(_TAKEOUT_SUFFIX[:length])
                if (length == 0 or photo != base) and (photo, number) in self._photos:
                    return self._photos[photo, number]
        if len(stem) >= _TAKEOUT_LENGTH:  # cut within the photo's own name
            base, number = ways[-1]
            return self._beginning_with(base, number)
        return []

    def _beginning_with(self, base: str, number: str) -> list[str]:
        first = bisect_left(self._sorted, (base, ""))
        after = takewhile(lambda key: key[0].startswith(base), self._sorted[first:])
        keys = islice(after, _MOST_ALIKE)
        return [name for key in keys if key[1] == number for name in self._photos[key]]


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0].lower()
