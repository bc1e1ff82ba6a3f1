"""Which landmark a photo shows, by the folders that it is in: the user chooses how.

    first                        the folder at the first level below the source (the default)
    last                         the folder that the photo is directly in
    level:2                      the folder at the second level
    {year}/{country}/{landmark}  a pattern of the first levels; `{landmark}` is the label, and any
                                 other name in braces stands for any text within one folder's name
    none                         no photo has a label

Labels are in Unicode's normal form C, however a file system, a zip file or a manifest writes them,
so that `é` is the same in both of its forms (UAX #15).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from landmarks.errors import InvalidInputError

# From the folders that a photo is in, outermost first, to its label.
LabelRule = Callable[[Sequence[str]], str | None]

_LANDMARK = "landmark"
_MOST_LEVELS = 100
_MOST_CHARACTERS = 500
_MOST_IGNORED = 100
_NAMES = re.compile(r"\{([^{}]*)\}")
# Folders of a time, as cameras, Google Takeout and people name them.
_TIME = re.compile(
    r"(?:\D{2,12} (?:from|of|von|aus|de|du|del|da|di|van|uit|från|fra|z) )?"
    r"(?:19|20)\d\d(?:[-_. ]?\d\d){0,2}"
)


@dataclass(frozen=True)
class ListingRules:
    """How a job lists a folder.

    `label` is a rule as above. `ignore` has names of folders that are not looked into. A raw file
    beside a photo of the same name is that photo, unless `raw_too`.
    """

    label: str = ""
    ignore: tuple[str, ...] = ()
    raw_too: bool = False

    def check(self) -> None:
        """Raise InvalidInputError for a rule or name that cannot be used."""
        label_rule(self.label)
        ignore_rule(self.ignore)


def normal(label: str) -> str | None:
    """Return a label in normal form C; None for an empty one."""
    return unicodedata.normalize("NFC", label).strip() or None


def is_time(label: str) -> bool:
    """Say whether a label is rather a year or a date."""
    return _TIME.fullmatch(label) is not None


def label_rule(text: str) -> LabelRule:
    """Return the rule that a text states, "" for the default; raises InvalidInputError."""
    if text in ("", "first"):
        return lambda folders: _at(folders, 0)
    if text == "last":
        return lambda folders: _at(folders, -1)
    if text == "none":
        return lambda _: None
    kind, separator, level = text.partition(":")
    if kind == "level" and separator:
        if not (level.isascii() and level.isdecimal() and 1 <= int(level[:9]) <= _MOST_LEVELS):
            raise _unusable(text, f"a level is a number from 1 to {_MOST_LEVELS}")
        return lambda folders: _at(folders, int(level) - 1)
    if "{" in text and len(text) <= _MOST_CHARACTERS:
        return _pattern(text)
    raise _unusable(text, "there is no such rule")


def ignore_rule(globs: Sequence[str]) -> Callable[[str], bool]:
    """Return what says whether a folder of a name is ignored; raises InvalidInputError.

    The names may have `*`, `?` and `[…]`, as in a shell, and stand for folders at any level. Case
    and Unicode's normal form do not count.
    """
    if len(globs) > _MOST_IGNORED:
        raise InvalidInputError(
            f"{len(globs)} names of folders to ignore were given; at most {_MOST_IGNORED} can be",
            field="ignore",
        )
    for glob in globs:
        if not glob or "/" in glob or len(glob) > _MOST_CHARACTERS:
            raise InvalidInputError(
                f"{glob[:_MOST_CHARACTERS]!r} cannot be the name of folders to ignore: give the"
                " name of a folder without those above it, such as 'private' or 'export*'",
                field="ignore",
            )
    folded = [_folded(glob) for glob in globs]
    return lambda name: bool(folded) and any(fnmatchcase(_folded(name), one) for one in folded)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _at(folders: Sequence[str], place: int) -> str | None:
    present = -len(folders) <= place < len(folders)
    return normal(folders[place]) if present else None


def _pattern(text: str) -> LabelRule:
    parts = [_part(text, part) for part in text.strip("/").split("/")]
    names = [name for part in parts for name in part.names]
    if names.count(_LANDMARK) != 1:
        raise _unusable(text, "a pattern has {landmark} once, where the label is")

    def rule(folders: Sequence[str]) -> str | None:
        found = None
        if len(folders) < len(parts):
            return None
        for part, folder in zip(parts, folders, strict=False):
            texts = part.match(unicodedata.normalize("NFC", folder))
            if texts is None:
                return None
            found = texts.get(_LANDMARK, found)
        return normal(found or "")

    return rule


class _Part:
    """The pattern of one folder's name: `literals` with a name in braces between each two."""

    def __init__(self, literals: Sequence[str], names: Sequence[str]) -> None:
        self._literals = literals
        self.names = names

    def match(self, folder: str) -> dict[str, str] | None:
        """Return the text of each name, the shortest possible from the left; None if none fits.

        Each literal is looked for once, so that no pattern takes long, as a regular expression can.
        """
        first, *between = self._literals
        if not between:
            return {} if folder == first else None
        *between, last = between
        end = len(folder) - len(last)
        if not folder.startswith(first) or not folder.endswith(last):
            return None
        place, texts = len(first), {}
        for name, literal in zip(self.names, between, strict=False):
            found = folder.find(literal, place + 1, end)
            if found < 0:
                return None
            texts[name] = folder[place:found]
            place = found + len(literal)
        if place >= end:
            return None
        texts[self.names[-1]] = folder[place:end]
        return texts


def _part(text: str, part: str) -> _Part:
    pieces = _NAMES.split(unicodedata.normalize("NFC", part))
    literals, names = pieces[::2], pieces[1::2]
    if any("{" in one or "}" in one for one in literals) or not all(names):
        raise _unusable(text, "its braces do not belong together, or have no name in them")
    if "" in literals[1:-1]:
        raise _unusable(text, "two names in braces need some text between them")
    if not part:
        raise _unusable(text, "it has an empty level")
    return _Part(literals, names)


def _unusable(text: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"{text[:_MOST_CHARACTERS]!r} cannot be the rule for labels: {why}. Rules are first, last,"
        " level:2, none, and patterns such as {year}/{country}/{landmark}",
        field="label",
    )
