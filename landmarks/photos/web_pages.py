"""The pages on which a web server lists its folders: what they link to below themselves."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote, urljoin, urlsplit

from landmarks.photos.location import climbs

# What anchors refer to. Not by html.parser, which takes ever longer for pages that are damaged on
# purpose: here, no part of a page is looked at twice.
_ANCHOR = re.compile(
    r"""<a\s[^<>]*?\bhref\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'<>]+))""", re.IGNORECASE
)


def links_below(page: str, address: str) -> list[str]:
    """Return the paths of what a page links to below it, relative, unquoted, sorted, each once.

    `address` is the page's own, and ends with a slash, as folders do. Links to anywhere else are
    left out, however they are written: with `..` or encoded dots, absolute, or to another server.
    """
    found: set[str] = set()
    for reference in _references(page):
        if any(ord(character) < 32 or character in "\\\x7f" for character in reference):
            continue
        try:
            here, there = urlsplit(address), urlsplit(urljoin(address, reference))
        except ValueError:  # no address at all
            continue
        if (there.scheme, there.netloc.lower()) != (here.scheme, here.netloc.lower()):
            continue
        if there.query or there.fragment or climbs(there.path):
            continue
        # As servers compare them: whether a character is written as it is or by its code.
        above, parts = _unquoted(here.path), _unquoted(there.path)
        relative = "/".join(parts[len(above) - 1 :])
        if parts[: len(above) - 1] == above[:-1] and relative and _is_plain(parts):
            found.add(relative)
    return sorted(found)


def _unquoted(path: str) -> list[str]:
    return [unquote(part) for part in path.split("/")]


def _is_plain(parts: list[str]) -> bool:
    """Say whether joining the parts, and quoting that, gives the address that they are of."""
    return "" not in parts[1:-1] and not any("/" in part or "\\" in part for part in parts)


def _references(page: str) -> set[str]:
    return {
        unescape(next(filter(None, found.groups()), "")).strip() for found in _ANCHOR.finditer(page)
    }
