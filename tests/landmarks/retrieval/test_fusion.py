from __future__ import annotations

import random

import pytest

from landmarks.retrieval.fusion import (
    DEPTHS,
    RANK_CONSTANT,
    ModelHit,
    ModelRank,
    Ranking,
    depth_for,
    fuse,
)


def ranking(*ids: str, **counts: float) -> Ranking:
    hits = [ModelHit(id_, 1 - place / 100, place + 1) for place, id_ in enumerate(ids)]
    return Ranking(hits, **counts)


def test_a_score_is_the_sum_of_reciprocal_ranks() -> None:
    fused = fuse({"one": ranking("a", "b"), "two": ranking("b", "c")})

    assert [hit.id for hit in fused] == ["b", "a", "c"]
    assert fused[0].score == pytest.approx(1 / (RANK_CONSTANT + 2) + 1 / (RANK_CONSTANT + 1))
    assert fused[1].score == pytest.approx(1 / (RANK_CONSTANT + 1))


def test_each_fused_hit_keeps_its_rank_and_score_in_every_model_that_found_it() -> None:
    fused = fuse({"one": ranking("a", "b"), "two": ranking("b")})

    assert fused[0].standings == (ModelRank("one", 2, 0.99), ModelRank("two", 1, 1.0))
    assert fused[1].standings == (ModelRank("one", 1, 1.0),)


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
    assert fuse({"one": ranking()}) == []


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


def test_the_deepest_possible_page_is_within_the_last_depth() -> None:
    assert depth_for(10) == 30
    assert depth_for(31) == 100
    assert depth_for(101) == 1000
    assert depth_for(11_000) == 11_000


def test_a_weight_multiplies_what_a_model_adds() -> None:
    fused = fuse({"one": ranking("a", "b", weight=0.1), "two": ranking("b", "a", weight=3)})

    assert [hit.id for hit in fused] == ["b", "a"]
    assert fused[0].score == pytest.approx(0.1 / (RANK_CONSTANT + 2) + 3 / (RANK_CONSTANT + 1))


def test_calibrated_scores_are_weighed_and_added() -> None:
    one, two = ranking("a", "b", slope=10.0, intercept=-5.0), ranking("b", "a", slope=2.0)

    fused = fuse({"one": one, "two": two})

    assert [hit.id for hit in fused] == ["a", "b"]  # the steeper model decides
    assert [hit.score for hit in fused] == pytest.approx([10 - 5 + 2 * 0.99, 9.9 - 5 + 2 * 1.0])


def test_what_a_model_did_not_find_is_at_best_as_similar_as_its_last_hit() -> None:
    fused = fuse({"one": ranking("a", "b", slope=1.0), "two": ranking("c", slope=1.0)})

    assert {hit.id: hit.score for hit in fused} == pytest.approx(
        {"a": 1.0 + 1.0, "b": 0.99 + 1.0, "c": 0.99 + 1.0}
    )


def test_hits_that_were_left_out_of_a_ranking_do_not_move_its_others_to_another_depth() -> None:
    every = ranking(*(f"{place:04}" for place in range(300))).hits
    kept = [hit for hit in every if hit.place % 3 == 0]
    shallow = {m: Ranking([h for h in kept if h.place <= DEPTHS[0]]) for m in ("one", "two")}

    places = [hit.id for hit in fuse(shallow)]
    assert [hit.id for hit in fuse({m: Ranking(kept) for m in shallow})][: len(places)] == places
