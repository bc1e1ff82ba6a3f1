from __future__ import annotations

import random

import pytest

from search_service.fusion import DEPTHS, RANK_CONSTANT, Scored, Standing, depth_for, fuse


def ranking(*ids: str) -> list[Scored]:
    return [Scored(id_, 1 - place / 100) for place, id_ in enumerate(ids)]


def test_a_score_is_the_sum_of_reciprocal_ranks() -> None:
    fused = fuse({"one": ranking("a", "b"), "two": ranking("b", "c")})

    assert [hit.id for hit in fused] == ["b", "a", "c"]
    assert fused[0].score == pytest.approx(1 / (RANK_CONSTANT + 2) + 1 / (RANK_CONSTANT + 1))
    assert fused[1].score == pytest.approx(1 / (RANK_CONSTANT + 1))


def test_each_fused_hit_keeps_its_rank_and_score_in_every_model_that_found_it() -> None:
    fused = fuse({"one": ranking("a", "b"), "two": ranking("b")})

    assert fused[0].standings == (Standing("one", 2, 0.99), Standing("two", 1, 1.0))
    assert fused[1].standings == (Standing("one", 1, 1.0),)


def test_a_tie_goes_to_the_better_best_rank() -> None:
    # Once at rank 1 is as much as twice at rank 62: 1 / 61 = 2 / 122.
    others = [f"other-{place}" for place in range(120)]
    one = ["first", *others[:60], "a-middle"]
    two = [*others[60:], "gap", "a-middle"][-62:]

    fused = fuse({"one": ranking(*one), "two": ranking(*two)})

    places = {hit.id: place for place, hit in enumerate(fused)}
    assert fused[places["first"]].score == fused[places["a-middle"]].score
    assert places["first"] < places["a-middle"]


def test_a_full_tie_goes_to_the_smaller_id() -> None:
    assert [hit.id for hit in fuse({"one": ranking("b"), "two": ranking("a")})] == ["a", "b"]


def test_the_order_of_the_models_does_not_matter_for_the_order_of_the_hits() -> None:
    one, two = ranking("a", "b", "c"), ranking("c", "d")

    forwards = fuse({"one": one, "two": two})
    backwards = fuse({"two": two, "one": one})

    assert [hit.id for hit in forwards] == [hit.id for hit in backwards]


def test_one_ranking_fused_keeps_its_own_order() -> None:
    ids = [f"{place:05}" for place in range(2500)]

    assert [hit.id for hit in fuse({"one": ranking(*reversed(ids))})] == ids[::-1]


def test_nothing_fused_is_nothing() -> None:
    assert fuse({}) == []
    assert fuse({"one": []}) == []


@pytest.mark.parametrize("shorter", [DEPTHS[0], DEPTHS[1]])
def test_a_place_does_not_change_when_the_rankings_are_read_deeper(shorter: int) -> None:
    generator = random.Random(shorter)
    ids = [f"{number:04}" for number in range(1500)]
    full = {model: generator.sample(ids, len(ids)) for model in ("one", "two", "three")}

    def at(depth: int) -> list[str]:
        return [hit.id for hit in fuse({m: ranking(*row[:depth]) for m, row in full.items()})]

    deeper = at(DEPTHS[-1])
    assert at(shorter)[:shorter] == deeper[:shorter]
    assert len(set(deeper)) == len(deeper) == len(ids)


def test_the_deepest_page_that_can_be_asked_for_is_within_the_last_depth() -> None:
    assert depth_for(10) == 100
    assert depth_for(101) == 1000
    assert depth_for(11_000) == 11_000
