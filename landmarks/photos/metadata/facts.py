"""Facts of a photo, by the names of their payload fields, and how they are collected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from landmarks.photos.column_types import PayloadValue

# A photo's payload has those that are known. `taken` is RFC 3339; `taken_zone` is "unknown" where
# `taken` is the local time of an unknown zone, written as if it was UTC.
FACT_NAMES = frozenset(
    {
        "taken",
        "taken_zone",
        "camera",
        "lens",
        "serial",
        "place",
        "caption",
        "keywords",
        "rating",
        "metadata_problem",
    }
)
# Of characters. Thousands of payloads must fit a message.
_MOST_NAME, _MOST_CAPTION, _MOST_KEYWORD, _MOST_KEYWORDS = 128, 1000, 64, 50
_MOST_PROBLEM = 500
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]+")
# What cameras write as description of every photo.
_NO_CAPTIONS = frozenset(
    {
        "default",
        "digital camera",
        "dcim",
        "kodak digital still camera",
        "konica minolta digital camera",
        "minolta digital camera",
        "olympus digital camera",
        "samsung camera pictures",
        "samsung digital camera",
        "sony dsc",
    }
)


class RefusedError(ValueError):
    """A value that is in a file and cannot be right, or a part of a file that cannot be read."""


@dataclass
class Facts:
    """Facts as they are found: the first valid value of a name stays, and others add a note."""

    values: dict[str, PayloadValue] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def offer(self, name: str, read: Callable[[], PayloadValue]) -> None:
        """Take a value if there is none yet; one that is refused, only as a note."""
        if name in self.values:
            return
        try:
            value = read()
        except RefusedError as error:
            self.note(str(error))
        else:
            if value is not None:
                self.values[name] = value

    def note(self, problem: str) -> None:
        """Note what could not be read."""
        if problem not in self.problems:
            self.problems.append(problem)

    def payload(self) -> dict[str, PayloadValue]:
        """Return the facts as fields of a payload."""
        found = dict(self.values)
        if self.problems:
            problem = "; ".join(self.problems)
            found["metadata_problem"] = _cut(problem, _MOST_PROBLEM)
        return found


def clean(text: str, most: int = _MOST_NAME) -> str | None:
    """Return a text without control characters, cut to `most` characters; None if it is empty."""
    return _cut(" ".join(_NOT_SHOWN.sub(" ", text).split()), most) or None


def caption_of(text: str) -> str | None:
    """Return a description that a person wrote; None for those of cameras."""
    found = clean(text, _MOST_CAPTION)
    return None if found is None or found.lower() in _NO_CAPTIONS else found


def keywords_of(texts: list[str]) -> list[str] | None:
    """Return keywords without repetitions; None if there are none."""
    found = dict.fromkeys(one for text in texts if (one := clean(text, _MOST_KEYWORD)))
    return list(found)[:_MOST_KEYWORDS] or None


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
