"""`landmarks evaluate --through`: the running system has the figures of the encoder itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from landmarks.client import Landmarks
from landmarks_tools.evaluation import evaluate_service as through
from tests.support.files import cache_of_its_own
from tests.support.local_stack import Stack
from tests.support.places import FIGURES, asked, draw_places, evaluate

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LANDMARKS_CACHE_DIR", str(cache_of_its_own(tmp_path / "cache")))
    return draw_places(tmp_path)


def evaluations(stack: Stack) -> dict[str, str]:
    """Return how many points each gallery of an evaluation has."""
    found = stack.json("collections")
    return {
        one["gallery"]: one["points"] for one in found if one["gallery"].startswith("evaluation-")
    }


def agree(stack: Stack, arguments: Sequence[str]) -> None:
    [there] = evaluate(*arguments, "--json", "--through", stack.server).json()
    [here] = evaluate(*arguments, "--json").json()
    for name in FIGURES:
        assert there[name] == pytest.approx(here[name], abs=5e-4), name
    assert (there["queries"], there["gallery"]) == (here["queries"], here["gallery"])


def test_the_running_system_has_the_figures_of_the_encoder_itself(
    stack: Stack, manifest: Path
) -> None:
    agree(stack, asked(manifest))
    [gallery] = evaluations(stack)
    assert evaluations(stack)[gallery] == "30"


def test_evaluating_again_encodes_nothing_and_another_gallery_is_kept_apart(
    stack: Stack, manifest: Path
) -> None:
    agree(stack, asked(manifest))
    before = evaluations(stack)
    agree(stack, asked(manifest))
    assert evaluations(stack) == before
    [progress] = stack.json("jobs")[0]["progress"]
    assert (progress["unchanged"], progress["encoded"]) == ("30", "0")
    agree(stack, asked(manifest, "gallery,more", "gallery,query"))  # some queries are in it
    assert sorted(evaluations(stack).values()) == sorted([*before.values(), "36"])


def test_a_gallery_of_many_pages_is_ranked_as_far_as_figures_need(
    stack: Stack, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(through, "_PAGE", 10)
    monkeypatch.setattr(through, "_OVERLAP", 3)
    monkeypatch.setattr(through, "_MOST_SKIPPED", 20)
    searched, search = [], Landmarks.search

    def counted(client: Landmarks, **asked: Any) -> object:
        searched.append(asked["offset"])
        return search(client, **asked)

    monkeypatch.setattr(Landmarks, "search", counted)
    agree(stack, asked(manifest))
    queries = searched.count(0)
    assert queries < len(searched) < 4 * queries  # some need all four pages, and some do not
    larger = evaluate(*asked(manifest, "gallery,more"), "--through", stack.server)
    assert (larger.status, larger.stdout) == (2, "")
    assert "36 photos, and searches reach 30 deep" in larger.stderr


def test_a_model_that_is_not_served_is_named_with_those_that_are(
    stack: Stack, manifest: Path
) -> None:
    result = evaluate(*asked(manifest)[:-1], "vgg16", "--json", "--through", stack.server)
    assert (result.status, result.stdout) == (3, "")
    assert "'vgg16'; ready: scratch" in result.stderr


def test_a_gallery_that_cannot_be_indexed_whole_is_an_error_that_names_the_photo(
    stack: Stack, manifest: Path
) -> None:
    (manifest.parent / "place 0" / "0.jpg").write_bytes(b"this is not a photo")
    result = evaluate(*asked(manifest), "--json", "--through", stack.server)
    assert (result.status, result.stdout) == (1, "")
    assert "place 0/0.jpg" in result.stderr
