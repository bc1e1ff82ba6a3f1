r"""Texts of others, such as landmarks and file names, made safe to print to a terminal.

A terminal obeys control characters: ESC ] 0 ; sets its title, others move, hide and colour text,
and a right-to-left override turns `gpj.exe` around. They are shown as Python escapes, as in `\x1b`.
"""

from __future__ import annotations

import json
import re

# C0 and C1 controls, separators of lines, overrides of direction, halves of surrogate pairs (which
# stand for the bytes of a file name that are not UTF-8).
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ANY = re.compile(f"[{_CONTROLS}]")
_IN_LINES = re.compile(rf"(?![\n\t])[{_CONTROLS}]")


def visible(text: str) -> str:
    """Return a text of one line with its control characters as escapes, line breaks included."""
    return _ANY.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Return a text with its control characters as escapes; its lines and tabs stay."""
    return _IN_LINES.sub(_escape, text)


def visible_json(value: object, *, ascii_only: bool = False) -> str:
    """Return a value as JSON, in which other than ASCII is written as it is unless `ascii_only`.

    It parses to the same value: the controls that JSON allows in texts are escaped too.
    """
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    return _IN_LINES.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
