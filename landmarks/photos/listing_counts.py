"""Counts of what a listing saw: files that are no photos, and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from landmarks.photos.file_types import SkipReason
from landmarks.photos.labels import is_time

if TYPE_CHECKING:  # it reads sources, and a client that shows counts needs nothing for that
    from landmarks.photos.entry import Entry

# Distinct labels that are counted one by one; of further ones it is only known that there are some.
_MOST_LABELS = 100_000
_SHOWN_LABELS = 200
# So that a list of jobs fits a message, whatever labels and paths are.
_SHOWN_CHARACTERS = 8_000
_LABEL_CHARACTERS = 200
_EXAMPLE_CHARACTERS = 500
_EXAMPLES = 3


@dataclass
class Skipped:
    """Files and folders that were skipped for one reason. What is in such a folder was not seen."""

    reason: SkipReason
    files: int = 0
    folders: int = 0
    example: str = ""  # the path of one

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read what `asdict` returned, once it was JSON; an unknown reason is `other`."""
        known = values["reason"] in SkipReason.__members__.values()
        return cls(**{**values, "reason": SkipReason(values["reason"] if known else "other")})


# In the singular and the plural.
_WORDS = {
    SkipReason.SIDECAR: ("sidecar", "sidecars"),
    SkipReason.VIDEO: ("video", "videos"),
    SkipReason.LIVE_PHOTO_VIDEO: ("video of a live photo", "videos of live photos"),
    SkipReason.RAW_BESIDE_PHOTO: (
        "raw file beside a photo of its name",
        "raw files beside photos of their names",
    ),
    SkipReason.DOCUMENT: ("document", "documents"),
    SkipReason.ARCHIVE: ("archive", "archives"),
    SkipReason.HIDDEN: ("hidden file", "hidden files"),
    SkipReason.SYSTEM: ("system file", "system files"),
    SkipReason.IGNORED: ("file to ignore", "files to ignore"),
    SkipReason.OUTSIDE: ("file whose path leads out", "files whose paths lead out"),
    SkipReason.OTHER: ("other file", "other files"),
}
_FOLDERS = {
    SkipReason.HIDDEN: ("hidden folder", "hidden folders"),
    SkipReason.SYSTEM: ("system folder", "system folders"),
    SkipReason.IGNORED: ("folder to ignore", "folders to ignore"),
}


def in_words(counts: Iterable[Skipped]) -> str:
    """Return counts for people, as in `3 videos, 1 hidden folder`; "" for none."""
    said = []
    for one in counts:
        for number, words in ((one.files, _WORDS), (one.folders, _FOLDERS)):
            if number:
                singular, plural = words.get(one.reason, ("folder", "folders"))
                said.append(f"{number:,} {singular if number == 1 else plural}")
    return ", ".join(said)


class SkipCounts:
    """Counts what a listing skips, by reason."""

    def __init__(self) -> None:
        self._by_reason: dict[SkipReason, Skipped] = {}

    def add(self, reason: SkipReason, path: str, *, is_folder: bool = False) -> None:
        """Count a file, or a folder."""
        one = self._by_reason.setdefault(
            reason, Skipped(reason, example=path[:_EXAMPLE_CHARACTERS])
        )
        if is_folder:
            one.folders += 1
        else:
            one.files += 1

    def counts(self) -> tuple[Skipped, ...]:
        """Return the counts, in the order of the reasons."""
        return tuple(self._by_reason[one] for one in SkipReason if one in self._by_reason)


@dataclass(frozen=True)
class LabelCounts:
    """How many photos have which label: `distinct` labels, and those of the most photos.

    A photo that is listed twice counts twice. `distinct` is a lower bound above 100,000. Of a long
    label, the first 200 characters are given.
    """

    distinct: int
    unlabelled: int
    most: Sequence[tuple[str, int]] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read what `asdict` returned, once it was JSON."""
        most = tuple((label, photos) for label, photos in values["most"])
        return cls(values["distinct"], values["unlabelled"], most)


class LabelTally:
    """Counts the labels of entries."""

    def __init__(self) -> None:
        self._photos: Counter[str] = Counter()
        self._unlabelled = 0

    def of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries, and count those that can be read."""
        for entry in entries:
            if not entry.problem:
                self._add(entry.landmark)
            yield entry

    def _add(self, label: str | None) -> None:
        label = (label or "")[:_LABEL_CHARACTERS]
        if not label:
            self._unlabelled += 1
        elif label in self._photos or len(self._photos) < _MOST_LABELS:
            self._photos[label] += 1

    def counts(self) -> LabelCounts:
        """Return the counts; of labels with as many photos, the first listed comes first."""
        most: list[tuple[str, int]] = []
        left = _SHOWN_CHARACTERS
        for label, photos in self._photos.most_common(_SHOWN_LABELS):
            left -= len(label)
            if left < 0:
                break
            most.append((label, photos))
        return LabelCounts(len(self._photos), self._unlabelled, tuple(most))

    def doubt(self) -> str:
        """Return why labels may not be landmarks; "" if nothing speaks for it."""
        times = sorted(label for label in self._photos if is_time(label))
        if not times:
            return ""
        which = ", ".join(repr(one) for one in times[:_EXAMPLES])
        further = f" and {len(times) - _EXAMPLES:,} more" if len(times) > _EXAMPLES else ""
        return (
            f"the labels {which}{further} look like times rather than landmarks: --label (`label`)"
            " says which folder is the landmark, and --dry-run shows what that gives"
        )
