"""The lines of an untrusted text file."""

from __future__ import annotations

import io
from collections.abc import Iterator

from landmarks.errors import InvalidInputError

_MAX_LINE = 1_000_000


def short_lines(lines: io.TextIOWrapper, uri: str) -> Iterator[str]:
    """Yield lines; raises InvalidInputError for one that would take much memory."""
    while line := lines.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise InvalidInputError(
                f"{uri} has a line of more than {_MAX_LINE:,} characters", field="source"
            )
        yield line
