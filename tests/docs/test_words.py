"""scripts/check_words.py finds the words that it lists, and nothing in plain prose."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "check_words.py"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The caller is told why.", ["told"]),
        ("It lets go of the lock,\nand mends the file anew.", ["lets go of", "mends", "anew"]),
        ("What is asked for by whoever asks", ["asked for", "whoever"]),
        ("Recommended amendments; tell two photos apart.", []),
    ],
)
def test_listed_words_are_found(text: str, words: list[str]) -> None:
    found = list(CHECK["found"](text, CHECK["banned"]()))
    assert sorted(word for _, word, _ in found) == sorted(words)
    assert all(better for _, _, better in found)


def test_a_finding_names_its_line_and_better_words() -> None:
    [(line, word, better)] = CHECK["found"]("fine\nbegun anew", CHECK["banned"]())
    assert (line, word) == (2, "anew")
    assert "again" in better
