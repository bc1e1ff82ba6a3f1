"""A source that is a list: a text file with the address of a photo in each line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import unquote

from landmarks.errors import ForbiddenError, InvalidInputError, LandmarksError
from landmarks.photos.entry import Entry, printable
from landmarks.photos.location import Location, parse_location
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.text_lines import short_lines

LIST_SUFFIX = ".txt"


def is_list(location: Location) -> bool:
    """Say whether a location is a list, by its name."""
    return (location.inside or location.path).lower().endswith(LIST_SUFFIX)


class AddressList:
    """Lists the photos whose addresses a text file has. Empty lines and comments are skipped."""

    kind = "list"
    emptiness = "the list has no addresses"

    def __init__(self, roots: SourceRoots, location: Location) -> None:
        self._roots = roots
        self._location = location

    def entries(self) -> Iterator[Entry]:
        """List the photos in the order of the file.

        Raises InvalidInputError if it is not UTF-8, or begins with what is no address.
        """
        uri = self._location.uri
        with (
            self._roots.open(self._location) as file,
            io.TextIOWrapper(file, encoding="utf-8-sig") as lines,
        ):
            try:
                first = True
                for number, line in enumerate(short_lines(lines, uri), 1):
                    address = line.strip()
                    if address and not address.startswith("#"):
                        if first:
                            self._check_address(address, number)
                        first = False
                        yield self._entry(address, number)
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"{uri} is not UTF-8: {error}", field="source") from error

    def _check_address(self, text: str, number: int) -> None:
        """Raise InvalidInputError for a file that is another kind of text, by its first line."""
        try:
            parse_location(text)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"{self._location.uri} is not a list of photos: line {number}, {text[:80]!r}, is"
                " neither an absolute path nor a URI",
                field="source",
            ) from error
        except ForbiddenError:
            pass  # an address, and a problem of that photo

    def _entry(self, address: str, number: int) -> Entry:
        path, uri, problem = printable(address), "", ""
        try:
            location = parse_location(address)
            # Two servers may have a photo of the same path. It is the same whether or not it may be
            # read now.
            path = location.uri.partition("://")[2].lstrip("/")
            path = unquote(path) if location.is_web else path
            self._roots.check(location)
            uri = location.uri
        except LandmarksError as error:
            problem = f"line {number} of the list: {error}"
        return Entry(path, uri, problem=problem)
