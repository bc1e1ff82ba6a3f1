"""Report words that scripts/check_words.txt lists, with their place and better ones.

Usage: python scripts/check_words.py [FILE ...]; without files, all that git tracks.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".txt")
# Generated, licensed, or no prose; the list itself; and the test that shows what it finds.
SKIPPED = re.compile(
    r"docs/study/|docs/api\.md$|findings/|LICENSE$|requirements\.lock$|scripts/check_words"
    r"|tests/docs/test_words\.py$"
    r"|.*_pb2(_grpc)?\.pyi?$|.*\.(json|svg|png|jpg|webp|safetensors|npy|npz|txt)$"
)


def banned(path: Path = LIST) -> list[tuple[re.Pattern[str], str]]:
    """Return each pattern of the list and the better words."""
    rows = [line.partition("->") for line in path.read_text().splitlines() if "->" in line]
    return [
        (re.compile(rf"\b(?:{pattern.strip()})\b", re.IGNORECASE), better.strip())
        for pattern, _, better in rows
    ]


def found(text: str, words: list[tuple[re.Pattern[str], str]]) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the word and the better words of each banned word in `text`."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, better in words:
            for match in pattern.finditer(line):
                yield number, match.group(), better


def tracked() -> list[str]:
    """Return the files that git tracks, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - git as found on the path
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name]


def main(files: list[str]) -> int:
    """Print each banned word as `file:line: word: write …`; return how many there are."""
    words, count = banned(), 0
    for name in files or tracked():
        path = ROOT / name
        if SKIPPED.match(name) or not path.is_file():
            continue
        for number, word, better in found(path.read_text(encoding="utf-8"), words):
            sys.stdout.write(f"{name}:{number}: {word!r}: write {better}\n")
            count += 1
    return count


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
